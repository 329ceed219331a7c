package arbiter

import (
	"math/bits"
	"math/rand/v2"
)

// asked is a call this session's actor has in flight.
type asked struct {
	link  *link
	id    uint64  // among the target's calls
	turn  bool    // it has an edge among the waits
	again *repeat // it may be made once more; nil: not
}

// askedCalls are the calls of one session in flight, by their own id, which is not 0. A routed
// call is added, given the id it has at its target, and taken out, which in a map was a tenth of
// the arbiter's time. The zero value holds none.
type askedCalls struct {
	slots []askedSlot // their number is a power of two, and there is always a free one
	n     int
	peak  int       // the most there were since there was none
	seed  [2]uint64 // no peer is to know which ids share a slot
}

type askedSlot struct {
	own uint64 // 0: free
	asked
}

// A table has leastAsked slots at first. When nothing is in flight one with more than mostAtRest
// is made smaller, if few of them were used since that was so before: calls come in waves.
const (
	leastAsked = 8
	mostAtRest = 64
)

// len is how many there are.
func (c *askedCalls) len() int { return c.n }

// home is where own is to be, if that is free.
func (c *askedCalls) home(own uint64) int {
	hi, lo := bits.Mul64(own^c.seed[0], c.seed[1])
	return int((hi ^ lo) & uint64(len(c.slots)-1))
}

// slot returns where own is, or else the free slot it belongs into.
func (c *askedCalls) slot(own uint64) int {
	i := c.home(own)
	for c.slots[i].own != 0 && c.slots[i].own != own {
		i = (i + 1) & (len(c.slots) - 1)
	}
	return i
}

// find returns where own is; -1: nowhere.
func (c *askedCalls) find(own uint64) int {
	if c.n == 0 || own == 0 {
		return -1
	}
	if i := c.slot(own); c.slots[i].own == own {
		return i
	}
	return -1
}

// get returns the call own, nil if there is none. It is valid until one is added or taken out.
func (c *askedCalls) get(own uint64) *asked {
	if i := c.find(own); i >= 0 {
		return &c.slots[i].asked
	}
	return nil
}

// add adds the call own. It reports false if there is one already, or own is 0.
func (c *askedCalls) add(own uint64, a asked) bool {
	if own == 0 {
		return false
	}
	if 2*(c.n+1) > len(c.slots) {
		c.resize(max(leastAsked, 2*len(c.slots)))
	}
	i := c.slot(own)
	if c.slots[i].own == own {
		return false
	}
	c.slots[i] = askedSlot{own, a}
	c.n++
	c.peak = max(c.peak, c.n)
	return true
}

// take takes the call own out. It reports false if there is none.
func (c *askedCalls) take(own uint64) (a asked, ok bool) {
	free := c.find(own)
	if free < 0 {
		return a, false
	}
	a = c.slots[free].asked
	mask := len(c.slots) - 1
	// Those behind it that would no longer be found close the gap.
	for i := (free + 1) & mask; c.slots[i].own != 0; i = (i + 1) & mask {
		if home := c.home(c.slots[i].own); (i-home)&mask >= (i-free)&mask {
			c.slots[free] = c.slots[i]
			free = i
		}
	}
	c.slots[free] = askedSlot{}
	if c.n--; c.n == 0 {
		if len(c.slots) > mostAtRest && 8*c.peak < len(c.slots) {
			c.resize(len(c.slots) / 2)
		}
		c.peak = 0
	}
	return a, true
}

// resize gives it n slots.
func (c *askedCalls) resize(n int) {
	old := c.slots
	if old == nil {
		c.seed = [2]uint64{rand.Uint64(), rand.Uint64() | 1}
	}
	c.slots = make([]askedSlot, n)
	for _, call := range old {
		if call.own != 0 {
			c.slots[c.slot(call.own)] = call
		}
	}
}

// all returns them, in no order.
func (c *askedCalls) all() []asked {
	list := make([]asked, 0, c.n)
	for i := range c.slots {
		if c.slots[i].own != 0 {
			list = append(list, c.slots[i].asked)
		}
	}
	return list
}

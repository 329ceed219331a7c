package arbiter

import "sync"

// numbered is where the registry keeps those whose aid this arbiter has made, by the number in
// it: a map of strings that grows with each would be a fifth of what a spawn takes. Numbers are given out
// in their order, so those that live at the same time are on few pages.
type numbered struct {
	tag    string // the end of every such aid
	shards [16]numbers
}

// numbers are the pages whose own numbers have the same remainder.
type numbers struct {
	mu sync.RWMutex
	at map[uint64]*numberPage // by number / perPage
}

// perPage is how many numbers share a page. One that lives long among many that do not keeps
// all of it.
const perPage = 16

// numberPage is perPage numbers in a row.
type numberPage struct {
	who    [perPage]*incarnation
	living uint32 // how many there are
	others uint32 // how many addresses with these numbers the registry keeps elsewhere
}

// newNumbered returns an empty one for aids that end with tag.
func newNumbered(tag string) *numbered {
	n := &numbered{tag: tag}
	for i := range n.shards {
		n.shards[i].at = make(map[uint64]*numberPage)
	}
	return n
}

// numberOf returns the number in an address that has the form of an aid of this arbiter's:
// KIND-NUMBER-TAG. Who is called after an actor may have a name like it: see checkOwn.
func numberOf[S string | []byte](address S, tag string) (number uint64, ok bool) {
	i := len(address) - len(tag) - 1
	if i < 2 || address[i] != '-' || string(address[i+1:]) != tag {
		return 0, false
	}
	unit := uint64(1)
	end := i
	for i--; i >= 0 && '0' <= address[i] && address[i] <= '9'; i-- {
		if end-i > 18 {
			return 0, false // more than fits
		}
		number += unit * uint64(address[i]-'0')
		unit *= 10
	}
	if i < 0 || i == end-1 || address[i] != '-' || address[i+1] == '0' {
		return 0, false
	}
	return number, true
}

// of returns where number is, and which of its page it is.
func (n *numbered) of(number uint64) (s *numbers, page, index uint64) {
	page = number / perPage
	return &n.shards[page%uint64(len(n.shards))], page, number % perPage
}

// get returns who is kept under a number, if anybody is; their aid may be another one with that
// number. others says that addresses with numbers of that page are elsewhere.
func (s *numbers) get(page, index uint64) (i *incarnation, others bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.at[page]
	if p == nil {
		return nil, false
	}
	return p.who[index], p.others > 0
}

// swap is registry.swap for an address with a number. What has no place under that, because it
// is a name, or because somebody else has it, is in elsewhere.
func (n *numbered) swap(number uint64, address string, from, to *incarnation, elsewhere *shard) bool {
	s, page, index := n.of(number)
	s.mu.Lock() // whoever wants an address with this number waits here
	defer s.mu.Unlock()
	p := s.at[page]
	if p == nil {
		if from != nil {
			return false
		}
		p = new(numberPage)
		s.at[page] = p
	}
	who := &p.who[index]
	here := *who != nil && (*who).aid == address
	var have *incarnation
	switch {
	case here:
		have = *who
	case p.others > 0:
		elsewhere.mu.RLock()
		have = elsewhere.at[address]
		elsewhere.mu.RUnlock()
	}
	if have == from {
		switch {
		case here:
			*who, p.living = nil, p.living-1
		case from != nil:
			elsewhere.give(address, nil)
			p.others--
		}
		switch {
		case to == nil:
		case to.aid == address && *who == nil:
			*who, p.living = to, p.living+1
		default:
			elsewhere.give(address, to)
			p.others++
		}
	}
	if p.living == 0 && p.others == 0 {
		delete(s.at, page)
	}
	return have == from
}

// all yields everybody once. It reports whether all were wanted.
func (n *numbered) all(yield func(*incarnation) bool) bool {
	for k := range n.shards {
		s := &n.shards[k]
		s.mu.RLock()
		here := make([]*incarnation, 0, len(s.at)) // at least
		for _, p := range s.at {
			for _, i := range p.who {
				if i != nil {
					here = append(here, i)
				}
			}
		}
		s.mu.RUnlock()
		for _, i := range here {
			if !yield(i) {
				return false
			}
		}
	}
	return true
}

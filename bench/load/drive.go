package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// driver works a peer's clients. It lives in the asking process, as long as that.
type driver struct {
	clients []Client
	told    uint64 // bodies told so far, over all turns; the echo counts them too
}

// dial opens the connections a figure needs.
func dial(ctx context.Context, p Peer, at Place, conns int) (*driver, error) {
	d := &driver{}
	for i := range conns {
		c, err := p.Dial(ctx, at, i)
		if err != nil {
			d.close()
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		d.clients = append(d.clients, c)
	}
	return d, nil
}

func (d *driver) close() {
	for _, c := range d.clients {
		c.Close()
	}
}

// measure does one turn.
func (d *driver) measure(ctx context.Context, f Figure, w Work) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, w.each()+grace)
	defer cancel()
	switch f.Shape {
	case Ask:
		return d.ask(ctx, f, w)
	case Tell:
		return d.tell(ctx, f, w)
	}
	return Result{}, fmt.Errorf("figure %s is not one between processes", f.Name)
}

// ask keeps f.InFlight asks under way, spread over the connections.
func (d *driver) ask(ctx context.Context, f Figure, w Work) (Result, error) {
	var over atomic.Bool
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	slots := make([]*slot, f.InFlight)
	for i := range slots {
		slots[i] = newSlot(f, w, i, &over)
	}
	var each sync.WaitGroup
	start := time.Now()
	timer := time.AfterFunc(w.each(), func() { over.Store(true) })
	defer timer.Stop()
	for i, c := range d.clients {
		mine := share(slots, i, len(d.clients))
		if l, ok := c.(Looper); ok {
			each.Go(func() {
				if err := runLoop(ctx, l, mine); err != nil {
					fail(err)
				}
			})
			continue
		}
		for _, s := range mine {
			each.Go(func() {
				if err := s.run(ctx, c); err != nil {
					fail(err)
				}
			})
		}
	}
	each.Wait()
	r := Result{Took: time.Since(start)}
	if err := context.Cause(ctx); err != nil {
		return r, err
	}
	for _, s := range slots {
		r.Count += s.count
	}
	if f.InFlight == 1 {
		r.P50, r.P99 = percentiles(slots[0].times)
	}
	return r, nil
}

// share returns the part of slots that falls to client i of n.
func share(slots []*slot, i, n int) []*slot {
	return slots[i*len(slots)/n : (i+1)*len(slots)/n]
}

// runLoop lets a Looper do the asks of slots.
func runLoop(ctx context.Context, l Looper, slots []*slot) error {
	var first error
	err := l.Loop(ctx, len(slots), func(i int, reply []byte) []byte {
		s := slots[i]
		if reply == nil {
			return s.begin()
		}
		more, err := s.end(reply)
		if err != nil && first == nil {
			first = err
		}
		if !more || first != nil {
			return nil
		}
		return s.begin()
	})
	if first != nil {
		return first
	}
	return err
}

// slot is one ask at a time, again and again.
type slot struct {
	body   []byte
	room   []byte
	seq    uint64
	count  int64
	limit  int64 // 0: none
	verify bool
	over   *atomic.Bool
	timed  bool
	since  time.Time
	times  []time.Duration
}

// timesMax bounds the memory of the latencies that are kept: those of the first
// asks of a turn.
const timesMax = 1 << 20

func newSlot(f Figure, w Work, i int, over *atomic.Bool) *slot {
	s := &slot{
		body: make([]byte, max(f.Size, bodyMin)), room: make([]byte, 0, max(f.Size, bodyMin)),
		seq: uint64(i) << 40, verify: w.Verify, over: over, timed: f.InFlight == 1,
	}
	if w.Count > 0 {
		s.limit = int64((w.Count + f.InFlight - 1 - i) / f.InFlight)
		if s.limit == 0 {
			s.limit = 1 // every slot asks at least once
		}
	}
	fill(s.body, opAsk, s.seq)
	return s
}

// begin returns the next body.
func (s *slot) begin() []byte {
	s.seq++
	if s.verify {
		fill(s.body, opAsk, s.seq)
	} else {
		renumber(s.body, s.seq)
	}
	if s.timed {
		s.since = time.Now()
	}
	return s.body
}

// end takes the reply, and says whether to go on.
func (s *slot) end(reply []byte) (more bool, err error) {
	if s.timed && len(s.times) < timesMax {
		s.times = append(s.times, time.Since(s.since))
	}
	if err := check(s.body, reply, s.verify); err != nil {
		return false, err
	}
	s.count++
	return s.count != s.limit && !s.over.Load(), nil
}

func (s *slot) run(ctx context.Context, c Client) error {
	for more := true; more; {
		reply, err := c.Ask(ctx, s.begin(), s.room)
		if err != nil {
			return err
		}
		if more, err = s.end(reply); err != nil {
			return err
		}
	}
	return nil
}

// percentiles sorts times.
func percentiles(times []time.Duration) (p50, p99 time.Duration) {
	if len(times) == 0 {
		return 0, 0
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)*99/100]
}

// Between two marks tell sends markBytes, or markCount messages if that is less;
// at most marks of them are unanswered. So what is under way is bounded, and the
// same for every peer, whatever it does itself.
const (
	markBytes = 1 << 20
	markCount = 4096
	marks     = 4
)

// tell sends one way over the first connection, and counts what the echo says
// that it was told.
func (d *driver) tell(ctx context.Context, f Figure, w Work) (Result, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	c := d.clients[0]
	body := make([]byte, max(f.Size, bodyMin))
	fill(body, opTell, 0)
	every := min(max(markBytes/len(body), 1), markCount)
	before := d.told
	unanswered := make(chan struct{}, marks)
	var marking sync.WaitGroup
	defer marking.Wait()
	start := time.Now()
	for n := 0; ; n++ {
		if n%every == 0 {
			select {
			case unanswered <- struct{}{}:
			case <-ctx.Done():
				return Result{}, context.Cause(ctx)
			}
			marking.Go(func() {
				if _, _, err := mark(ctx, c); err != nil {
					fail(err)
				}
				<-unanswered
			})
		}
		if n > 0 && (n == w.Count || n%16 == 0 && time.Since(start) >= w.each()) {
			break
		}
		if w.Verify {
			fill(body, opEach, d.told+1)
		} else {
			renumber(body, d.told+1)
		}
		if err := c.Tell(body); err != nil {
			fail(err)
			return Result{}, err
		}
		d.told++
	}
	told, disorder, err := mark(ctx, c)
	took := time.Since(start)
	marking.Wait()
	if err = errors.Join(context.Cause(ctx), err); err != nil {
		return Result{}, err
	}
	if told != d.told || disorder != 0 {
		return Result{}, fmt.Errorf("%d messages were sent one way, %d arrived, %d of them out of order", d.told, told, disorder)
	}
	return Result{Count: int64(d.told - before), Took: took}, nil
}

// mark asks how many messages have arrived. The asks of one connection follow its
// messages, so the reply counts all that were told before by the same goroutine.
func mark(ctx context.Context, c Client) (told, disorder uint64, err error) {
	var body [bodyMin]byte
	fill(body[:], opMark, 0)
	reply, err := c.Ask(ctx, body[:], make([]byte, 0, bodyMin))
	if err != nil {
		return 0, 0, fmt.Errorf("asking how many arrived: %w", err)
	}
	return readMark(reply)
}

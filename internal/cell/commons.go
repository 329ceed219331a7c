package cell

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/parker"
)

// Commons is what the actors of one host share, so that it need not be made for each
// message: goroutines to work on, and calls with what their callers wait on. It
// belongs to the host, and ends with it.
//
// The zero value is ready, and a nil one shares nothing. All methods may be called
// concurrently.
type Commons struct {
	calls  sync.Pool           // of *Call; see Ask
	bodies bodies              // of results that are lent
	memory mailbox.Chunks[job] // of jobs

	leaving sync.WaitGroup // workers that were resting when it was closed

	parks   bool // static; see Parks
	callers callersPlace

	waiting atomic.Int32 // how many jobs there are; written with mu

	mu     sync.Mutex // guards what follows
	jobs   mailbox.Queue[job]
	coming int         // workers that were woken or started and have not looked for a job yet; at least one while there are jobs
	idle   []chan bool // of the workers that rest, whoever worked last at the end
	closed bool
	place  workersPlace
}

// job is what a worker does.
type job struct {
	cell *Cell
	do   func(*Cell, *desk)
}

// desk is what a worker needs to work, one actor's after another's.
type desk struct {
	request Request // the one at work, if it has none of its own
	batch   *batch  // made when there is one: most of those who do one thing each never have it
}

const (
	// maxIdle is how many workers rest at most: what one host's actors, of which there
	// may be a million, hold while nothing is to do. Any number may be at work.
	maxIdle = 16
	// shift is how many jobs a worker does before it lets others run, and leaves what there
	// is to who is on the way.
	shift = 32
)

// work has do(c) run, on a goroutine on which nothing else runs meanwhile. To wake a
// worker that rests costs half of what a new one does, and its stack has already grown
// to what handlers need; not to need another costs least. So a job waits for whoever comes
// first: a worker that is through with its own, or the one that is on its way. That one, before it begins, has
// the next come if there is more, so that no job waits for what another one does.
//
// It is called with c.mu held, and waits for nothing. last says that the caller is about to sleep.
func (s *Commons) work(c *Cell, do func(*Cell, *desk), last bool) {
	if s == nil {
		go do(c, new(desk))
		return
	}
	s.mu.Lock()
	s.push(job{c, do})
	s.come(last)
}

// busy reports whether others have something to do and nobody yet who does it.
func (s *Commons) busy() bool { return s != nil && s.waiting.Load() > 0 }

// come makes sure that somebody comes for the jobs. It is called with s.mu held, and gives
// that up. See work for last.
func (s *Commons) come(last bool) {
	if s.coming > 0 {
		s.mu.Unlock()
		return
	}
	s.coming++
	if s.wakeParked(last) {
		return
	}
	n := len(s.idle) - 1
	if n < 0 {
		s.mu.Unlock()
		go s.worker()
		return
	}
	wake := s.idle[n] // it worked last, and its stack is in the processor's cache
	s.idle = s.idle[:n]
	s.mu.Unlock()
	wake <- true // there is room: it rests
}

// worker does one job after another. A handler that calls runtime.Goexit takes it
// along, which is as well.
func (s *Commons) worker() {
	wake := make(chan bool, 1)
	d := new(desk)
	for {
		s.mu.Lock()
		s.coming--
		for n := 0; s.jobs.Len() > 0 && n < shift; n++ {
			j := s.pop()
			if s.jobs.Len() > 0 {
				s.come(false)
			} else {
				s.mu.Unlock()
			}
			j.do(j.cell, d)
			d.request = Request{} // an actor that has ended is not kept by who rests
			s.mu.Lock()
		}
		tired := s.jobs.Len() > 0 // somebody is on the way for them
		rests := !s.closed && len(s.idle) < maxIdle
		at := (*parker.Parker)(nil)
		switch {
		case rests && !tired && s.park(wake):
			at = s.place.at
		case rests && tired:
			s.idle = slices.Insert(s.idle, 0, wake) // until others have run it is not soon there
		case rests:
			s.idle = append(s.idle, wake)
		}
		s.mu.Unlock()
		if !rests {
			return
		}
		if tired {
			runtime.Gosched()
		}
		if at != nil {
			at.Park(wake) // or not, where it is closed, or who was there has not left
		}
		if _, more := <-wake; !more {
			s.leaving.Done()
			return
		}
	}
}

// push puts j behind what is to be done. An actor has as many jobs at most as handlers at a time.
func (s *Commons) push(j job) {
	s.jobs.Share(&s.memory)
	s.jobs.Push(&j, 0, mailbox.Limits{}, true)
	s.waiting.Store(int32(s.jobs.Len()))
}

// pop takes what is to be done next; there is something.
func (s *Commons) pop() job {
	j, _ := s.jobs.Pop()
	s.jobs.Release(1, 0)
	s.waiting.Store(int32(s.jobs.Len()))
	return j
}

// Close ends the workers that rest, and returns when they have ended. Those at work
// end when they have nothing to do; what is still to be done is done.
func (s *Commons) Close() {
	s.mu.Lock()
	s.closed = true
	idle := s.idle
	if s.place.parked != nil {
		idle = append(idle, s.place.parked)
	}
	s.idle, s.place.parked = nil, nil
	s.leaving.Add(len(idle))
	s.mu.Unlock()
	for _, wake := range idle {
		close(wake)
	}
	s.closePlaces()
	s.leaving.Wait()
}

// call returns a call with a bell, to be waited for once.
func (s *Commons) call() *Call {
	if s != nil {
		if c, ok := s.calls.Get().(*Call); ok {
			return c
		}
	}
	return &Call{bell: newBell()}
}

// reuse takes back a call that has been waited for.
func (s *Commons) reuse(c *Call) {
	if s != nil {
		s.calls.Put(c.blank())
	}
}

// blank returns c, which has been waited for, as a new one. Whoever ended it with a result was
// the last to know of it: the note of it was taken out for that. But the turn it was made in,
// which may have just ended, may be about to look at it, and who fails it may be one of two;
// then only the bell is used again.
func (c *Call) blank() *Call {
	if !c.sure || c.turn != nil {
		return &Call{bell: c.bell}
	}
	var data []byte // else it is the caller's
	if c.lends {
		data = c.encoded.Data
	}
	*c = Call{bell: c.bell, encoded: Encoded{Data: data}}
	return c
}

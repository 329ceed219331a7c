package cell

import "sync"

// Commons is what the actors of one host share, so that it need not be made for each
// message: goroutines to work on, and calls with what their callers wait on. It
// belongs to the host, and ends with it.
//
// The zero value is ready, and a nil one shares nothing. All methods may be called
// concurrently.
type Commons struct {
	calls sync.Pool // of *Call; see Ask

	leaving sync.WaitGroup // workers that were resting when it was closed

	mu     sync.Mutex // guards what follows
	idle   []chan job // of the workers that rest, whoever worked last at the end
	closed bool
}

// job is what a worker is woken for.
type job struct {
	cell *Cell
	do   func(*Cell, *desk)
}

// desk is what a worker needs to work, one actor's after another's.
type desk struct {
	request Request // the one at work, if it has none of its own
	batch   *batch  // made when there is one: most of those who do one thing each never have it
}

// maxIdle is how many workers rest at most: what one host's actors, of which there
// may be a million, hold while nothing is to do. Any number may be at work.
const maxIdle = 16

// work has do(c) run on a goroutine of its own. To wake one that rests costs half of
// what a new one does, and its stack has already grown to what handlers need. It is
// whoever worked last, whose stack is in the processor's cache.
//
// It is called with c.mu held, and waits for nothing: who rests has room for a job.
func (s *Commons) work(c *Cell, do func(*Cell, *desk)) {
	if s == nil {
		go do(c, new(desk))
		return
	}
	s.mu.Lock()
	n := len(s.idle) - 1
	if n < 0 {
		s.mu.Unlock()
		go s.worker(job{c, do})
		return
	}
	wake := s.idle[n]
	s.idle = s.idle[:n]
	s.mu.Unlock()
	wake <- job{c, do}
}

// worker does one job after another. A handler that calls runtime.Goexit takes it
// along, which is as well.
func (s *Commons) worker(j job) {
	wake := make(chan job, 1)
	d := new(desk)
	for {
		j.do(j.cell, d)
		j, d.request = job{}, Request{} // an actor that has ended is not kept by who rests
		if !s.rest(wake) {
			return
		}
		var more bool
		if j, more = <-wake; !more {
			s.leaving.Done()
			return
		}
	}
}

// rest notes that the worker woken by wake has nothing to do. It reports false if it
// is to end instead.
func (s *Commons) rest(wake chan job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) >= maxIdle {
		return false
	}
	s.idle = append(s.idle, wake)
	return true
}

// Close ends the workers that rest, and returns when they have ended. Those at work
// end when they have nothing to do; what is still to be done is done.
func (s *Commons) Close() {
	s.mu.Lock()
	s.closed = true
	idle := s.idle
	s.idle = nil
	s.leaving.Add(len(idle))
	s.mu.Unlock()
	for _, wake := range idle {
		close(wake)
	}
	s.leaving.Wait()
}

// call returns a call whose end is told by a token, to be waited for once.
func (s *Commons) call() *Call {
	if s != nil {
		if c, ok := s.calls.Get().(*Call); ok {
			return c
		}
	}
	return &Call{once: true, done: make(chan struct{}, 1)}
}

// reuse takes back a call whose token was taken. Whoever ended it with a result was the last
// to know of it: the note of it was taken out for that. But the
// turn it was made in, which may have just ended, may be about to look at it, and who
// fails it may be one of two; then only the channel is used again.
func (s *Commons) reuse(c *Call) {
	if s == nil {
		return
	}
	if !c.sure || c.turn != nil {
		s.calls.Put(&Call{once: true, done: c.done})
		return
	}
	*c = Call{once: true, done: c.done}
	s.calls.Put(c)
}

// Package parker parks a goroutine so that it costs little to wake it, for who goes to sleep itself.
//
// A goroutine that is made ready by another, as by a channel, has Go's scheduler wake a processor
// that is at rest, so that somebody runs it while its waker goes on: a futex, an interrupt, and a
// thread that looks around for work. Where the waker goes to sleep at the next moment, as a reader
// does that has handed on the one message there was, that is for nothing: the waker's own thread
// runs it, and the other one finds nothing. A fifth of the time of a lone call went there.
//
// Who is parked here waits for a descriptor, as who waits for a socket does, and is found when the
// thread of its waker looks for something to run. So only who is about to sleep is to wake it. Where
// its waker goes on, or others keep all processors busy, it is woken late: after 10 to 20
// milliseconds, when Go's scheduler looks at descriptors in any case. A Parker that sees that is not
// fit for a while.
//
// It is of use on Linux. Elsewhere there is none.
package parker

import (
	"sync/atomic"
	"time"
)

const (
	// most is how many there are in the process, since each is a descriptor.
	most = 16
	// late is after which time one that is parked was woken too late.
	late = time.Millisecond
)

// made is how many there are.
var made atomic.Int32

// Parker is where one goroutine at a time parks. All methods may be called from any goroutine at
// any time. A nil one is not fit.
type Parker struct {
	place // of the operating system

	taken atomic.Bool
	used  atomic.Bool // somebody is in Park
	doubt Doubt
	on    <-chan bool // owned by who is in Park
}

// New returns one, or nil where there is none to be had. Close it.
func New() *Parker {
	if made.Add(1) > most {
		made.Add(-1)
		return nil
	}
	p := new(Parker)
	if !p.open() {
		made.Add(-1)
		return nil
	}
	return p
}

// Close wakes who is parked, and gives the descriptor back.
func (p *Parker) Close() {
	if p.close() {
		made.Add(-1)
	}
}

// Take has p for the caller until it calls Free, if p is fit and nobody has it.
func (p *Parker) Take() bool { return p.Fit() && p.taken.CompareAndSwap(false, true) }

// Free ends a Take.
func (p *Parker) Free() { p.taken.Store(false) }

// Fit reports whether p is to be used.
func (p *Parker) Fit() bool { return p != nil && !p.doubt.Holds() }

// Park waits until there is something in c, whose sender calls Unpark behind that. It returns false
// where there is nothing yet, and c itself is to be waited for: if p is closed, or somebody else is
// there, who may have been woken and not have left.
func (p *Parker) Park(c <-chan bool) bool {
	if len(c) > 0 {
		return true
	}
	if !p.used.CompareAndSwap(false, true) {
		return false
	}
	defer p.used.Store(false)
	p.on = c
	woken := p.wait()
	p.on = nil
	if woken {
		p.doubt.Runs(late)
	}
	return woken
}

// Unpark has who is parked look again.
func (p *Parker) Unpark() {
	p.doubt.Wakes()
	p.wake()
}

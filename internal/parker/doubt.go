package parker

import (
	"sync/atomic"
	"time"
)

// Doubt is for who relies on it that those who are woken run soon, as they do where a processor is
// at rest or their waker sleeps: what it saves is lost many times over where others keep all
// processors busy, and each turn takes 10 ms. So it is looked how long that takes, and one that was
// late is not relied on for a while.
//
// The zero value has none. Its methods may be called from any goroutine, but see Runs.
type Doubt struct {
	woken atomic.Int64 // when somebody was woken last, as since epoch
	left  atomic.Int32 // how often it is still there
	next  int32        // how often it was when it began, 0 once one was in time; of who calls Runs
}

// It is there leastDoubt times when one was late, and twice as often each time that the next one is,
// up to mostDoubt.
const leastDoubt, mostDoubt = 64, 4096

// epoch is when the program began.
var epoch = time.Now()

// Wakes says that somebody is about to be woken.
func (d *Doubt) Wakes() { d.woken.Store(int64(time.Since(epoch))) }

// Runs says that who was woken last runs, and what is late. It is called by one goroutine at a time.
func (d *Doubt) Runs(late time.Duration) {
	if time.Since(epoch)-time.Duration(d.woken.Load()) < late {
		d.next = 0
		return
	}
	d.next = min(max(2*d.next, leastDoubt), mostDoubt)
	d.left.Store(d.next)
}

// Holds reports whether there is doubt, which is asked each time before somebody is relied on.
func (d *Doubt) Holds() bool {
	n := d.left.Load()
	if n > 0 {
		d.left.CompareAndSwap(n, n-1)
	}
	return n > 0
}

package peer

import (
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/parker"
)

// Woken counts the callers that the reader wakes while it takes a run of replies, until they run.
// Most of them post the next call at once. If each flushed what is there by then, a dozen goroutines
// on several processors would make that many writes of it, as fast as they come: each finds nobody
// who is about to post, since who is has not begun to run. So what is posted meanwhile is left to
// the last of them, unless it is enough for a write as it is.
//
// What was left is written at the end of the reader's next run at the latest, and each that was
// woken runs once it is its turn, as who would flush had to wait for its. Where that takes long,
// since others have the processors, those who run would wait for those who do not: then nothing is
// left to anybody for a while.
type Woken struct {
	c *Conn        // static
	n atomic.Int32 // who was woken and does not run yet; while a run is taken MaxRun more

	// The reader's.
	taking bool   // a run of replies is taken, and those who are woken by it are counted
	wakes  int32  // so many were woken in it
	left   uint64 // Stats.Flushes when it last left something to them

	doubt parker.Doubt // asked by the reader for each run; Runs with out.mu
}

// tardy is after which time who was woken ran too late: a turn of somebody else's that is not given
// up takes 10 ms, and 256 that run one after the other one or two.
const tardy = 5 * time.Millisecond

// Woken returns c's.
func (c *Conn) Woken() *Woken { return &c.woken }

// Wakes is called by a Caller, from Result, that is about to wake a goroutine. If it returns true that
// goroutine is to call Awake first thing.
func (w *Woken) Wakes() bool {
	if !w.taking {
		return false
	}
	if w.wakes == 0 {
		w.doubt.Wakes()
		w.n.Add(MaxRun)
	}
	w.wakes++
	return true
}

// Awake says that one that was woken runs.
func (w *Woken) Awake() {
	if w.n.Add(-1) > 0 {
		return
	}
	c := w.c
	c.out.mu.Lock()
	w.doubt.Runs(tardy)
	if !c.in.flushes.Load() && c.idleLocked() {
		c.soonLocked() // what this one posts next goes along
	}
	c.out.mu.Unlock()
}

// takesReplies begins a run, tookReplies ends it.
func (w *Woken) takesReplies() { w.taking, w.wakes = !w.doubt.Holds(), 0 }

func (w *Woken) tookReplies() {
	w.taking = false
	if w.wakes > 0 {
		w.n.Add(w.wakes - MaxRun) // if nobody is left the reader, which flushes next, sees that
	}
}

// leavesLocked reports whether what is queued is left to who was woken. It is asked by the reader,
// and leaves nothing twice.
func (c *Conn) leavesLocked() bool {
	w := &c.woken
	if w.n.Load() == 0 || c.out.enough() || w.left == c.out.stats.flushes+1 {
		return false
	}
	w.left = c.out.stats.flushes + 1
	return true
}

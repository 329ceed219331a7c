package peer

import (
	"context"
	"errors"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// waiter is a goroutine that waits for room in the other end's window, with the
// message it wants to post. Who makes room posts it on its behalf.
type waiter struct {
	m          wire.Message // valid while it is queued
	size, cost int
	call       uint64          // its id in Calls; 0: none
	deadline   time.Time       // of the call; zero: none
	holds      bool            // it is told ErrHeld if its target is Held
	done       <-chan struct{} // of its context
	ready      chan error      // of one: posted (nil), or why not; sent by who removes it
	queued     bool
	prev, next *waiter
}

// over reports whether it has given up, though it may not know yet: whoever has ended
// sends nothing more.
func (w *waiter) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// waiters are queued in the order they came. Guarded by outbox.mu.
type waiters struct{ head, tail *waiter }

func (q *waiters) empty() bool { return q.head == nil }

func (q *waiters) push(w *waiter) {
	w.queued = true
	if w.prev = q.tail; q.tail != nil {
		q.tail.next = w
	} else {
		q.head = w
	}
	q.tail = w
}

// due has the message say what remains of the time by now.
func (w *waiter) due() {
	if !w.deadline.IsZero() {
		w.m.Millis = wire.Millis(w.deadline)
	}
}

// remove takes w out and tells it.
func (q *waiters) remove(w *waiter, err error) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.tail = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	w.ready <- err
}

// ErrHeld says that too many messages wait for the target of one that may be held back: see
// Conn.Held.
var ErrHeld = wire.Errorf(wire.CodeOverloaded, "too many messages wait for it on the way").NotStarted()

// errOver says that the context of a waiter has ended; that says why.
var errOver = errors.New("nobody waits any more")

// WaitLimit is how long PostWait and RequestWait wait for room where neither their context
// nor the call has a deadline: two that wait for each other's room would wait for ever.
const WaitLimit = 30 * time.Second

// wait waits until w, which is queued, was posted, or ctx ends; if that has no deadline, until
// limit.
func (c *Conn) wait(ctx context.Context, w *waiter, limit time.Time) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, limit)
		defer cancel()
	}
	var err error
	select {
	case err = <-w.ready:
	case <-ctx.Done():
		var owed debts
		c.out.mu.Lock()
		if w.queued {
			c.out.waiters.remove(w, errOver)
			owed = c.releaseLocked() // those behind it may fit where it did not
		}
		c.out.mu.Unlock()
		owed.pay()
		c.Flush()
		err = <-w.ready
	}
	if err == errOver {
		<-ctx.Done() // the one that was looked at may be above it, and end a moment earlier
		err = context.Cause(ctx)
	}
	return err
}

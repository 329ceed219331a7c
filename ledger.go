package arbiter

import (
	"sync"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/actor"
)

// ledger is the account of all actors. Messages are counted twice, in places that
// know nothing of each other: as accepted where they come in, by their senders, and
// as what became of them, by their targets. So it can be seen whether one is missing.
//
// Nothing here is touched for a message between connections: sessions and outboxes
// count their own, and what has ended is added up here.
type ledger struct {
	local tally // accepted from actors of this process

	mu   sync.Mutex // guards what follows
	past actor.Account
}

// tally is a counter that many goroutines add to without waiting for each other.
type tally struct {
	parts [8]struct {
		n atomic.Uint64
		_ [56]byte // a cache line each
	}
	chosen atomic.Uint32 // how many targets have one
}

func (t *tally) add(to *incarnation) { t.part(to).Add(1) }

// undo takes one back: of a part it may make less than nothing, and the sum is right.
func (t *tally) undo(to *incarnation) { t.part(to).Add(^uint64(0)) }

// choose returns the part of one more target: who send to the same one meet at its inbox anyway.
// It is not seen from the aid, since those of one arbiter have most in common.
func (t *tally) choose() uint8 { return uint8(t.chosen.Add(1) % uint32(len(t.parts))) }

func (t *tally) part(to *incarnation) *atomic.Uint64 {
	return &t.parts[to.part].n
}

func (t *tally) sum() (n uint64) {
	for i := range t.parts {
		n += t.parts[i].n.Load()
	}
	return n
}

// close adds what i, which has ended, leaves.
func (l *ledger) close(i *incarnation) {
	as, by := i.account(true), i.sent()
	as.Accepted = 0
	l.mu.Lock()
	defer l.mu.Unlock()
	l.past = l.past.Plus(as).Plus(by)
}

// account is that of all actors, living and dead: accepted as senders counted it,
// the rest as targets did.
func (a *Arbiter) account() actor.Account {
	a.ledger.mu.Lock()
	total := a.ledger.past
	a.ledger.mu.Unlock()
	for i := range a.registry.all() {
		as := i.account(false)
		as.Accepted = 0
		total = total.Plus(as).Plus(i.sent())
	}
	total.Accepted += a.ledger.local.sum()
	return total
}

// sent is what i, if it is elsewhere, has sent: accepted, and refused before it
// reached a target.
func (i *incarnation) sent() (a actor.Account) {
	if s := i.session; s != nil {
		a.Accepted, a.Refused, a.DeadLetters = s.counts.read.Load(), s.counts.refused.Load(), s.counts.letters.Load()
	}
	return a
}

// account is what became of what i was sent. When i is over nothing is queued any
// more: what is not known to have started is lost.
func (i *incarnation) account(over bool) actor.Account {
	if i.cell != nil {
		k := i.cell.Counts()
		a := actor.Account{
			Accepted: k.Accepted + k.InPlace, Started: k.Started + k.InPlace,
			DeadLetters: k.Letters, Lost: k.Left, Withdrawn: k.Dropped - k.Letters - k.Left,
		}
		a.Queued = a.Accepted - a.Started - k.Dropped
		return a
	}
	s := i.session
	k := s.conn.Account()
	a := actor.Account{Accepted: k.Taken}
	rest := k.Taken
	// What a peer says of itself is not believed beyond what it was sent.
	part := func(n uint64) uint64 {
		n = min(n, rest)
		rest -= n
		return n
	}
	a.DeadLetters = part(k.Back + s.letters.count()) // first: what came back was kept here, whatever else is said of it
	a.Started = part(k.Started)
	a.Refused = part(k.Refused)
	a.Withdrawn = part(k.Withdrawn)
	if known := k.Started + k.Back + k.Refused; k.Credited > known {
		a.Withdrawn += part(k.Credited - known) // it was dropped there
	}
	if over {
		a.Lost = rest
	} else {
		a.Queued = rest
	}
	return a
}

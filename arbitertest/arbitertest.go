// Package arbitertest is an arbiter inside a test: in memory, in virtual time
// where wanted, with everything encoded so that nothing works by accident, and
// nothing left behind.
//
//	func TestTally(t *testing.T) {
//		arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
//			tally := a.Spawn(Counter, actor.Name("tally"))
//			n, err := Add.Call(a.Context(), tally, 5)
//			…
//		})
//	}
//
// A test fails if its arbiter leaves a goroutine behind (of tests that run at the same time, by
// t.Parallel, the last one does), if a one-way message
// became a dead letter and nobody asked for it with DeadLetters, or if an actor
// broke a rule that nothing enforces.
package arbitertest

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// Arbiter is an arbiter for the length of a test. Its methods may be called from
// any goroutine of the test, but those that fail the test only from its own.
type Arbiter struct {
	*arbiter.Arbiter
	t   testing.TB
	ctx context.Context
	log *logs

	mu   sync.Mutex
	read uint64 // the number of the last dead letter the test has asked for
}

// hook and living are package variables, since they are the program's: Main runs before every
// test of it, and of its goroutines nobody knows whose test they are of.
var (
	hook   *arbiter.ChildHook
	living tests
)

// Main is for TestMain, in packages whose tests put actors in processes of their
// own. In such a process it runs the actor, one of kinds; otherwise the tests, and
// exits.
func Main(m *testing.M, kinds ...actor.Behaviour) {
	hook = arbiter.Child(kinds...)
	os.Exit(m.Run())
}

// Run runs f as a test in virtual time (see testing/synctest) with an arbiter of
// kinds. Only goroutine actors and members that Join live in virtual time. A goroutine
// that outlives the test is synctest's to tell, which panics with its stack ("deadlock:
// main bubble goroutine has exited"), and so ends the whole test program.
func Run(t *testing.T, f func(t *testing.T, a *Arbiter), kinds ...actor.Behaviour) {
	t.Helper()
	living.begin(false)
	defer living.end(t)
	synctest.Test(t, func(t *testing.T) {
		f(t, start(t, kinds))
	})
}

// New starts an arbiter of kinds in real time, for tests with actors in processes
// of their own. It is stopped, and looked through, when the test ends.
func New(t testing.TB, kinds ...actor.Behaviour) *Arbiter {
	t.Helper()
	living.begin(true)
	t.Cleanup(func() { living.end(t) }) // cleanups run last first
	a := start(t, kinds)
	t.Cleanup(a.finish)
	return a
}

// start starts the arbiter; in a bubble the bubble itself finds what leaks.
func start(t testing.TB, kinds []actor.Behaviour) *Arbiter {
	t.Helper()
	a := &Arbiter{t: t, log: &logs{}}
	arb, err := arbiter.Start(context.Background(), arbiter.Options{
		Name: "test", Kinds: kinds, Child: hook, Strict: true, Output: io.Discard,
		Logger: slog.New(slog.NewTextHandler(a.log, nil)),
		Misuse: func(who actor.Ref, what string) { t.Errorf("%s broke a rule: %s", who, what) },
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Arbiter = arb
	a.ctx = arb.Context(context.Background())
	if isBubble(t) {
		t.Cleanup(a.finish)
	}
	return a
}

// isBubble reports whether t is the test of a synctest bubble, where cleanups run
// inside the bubble.
func isBubble(t testing.TB) bool {
	buf := make([]byte, 1<<12)
	return strings.Contains(string(buf[:runtime.Stack(buf, false)]), "synctest bubble")
}

// finish stops the arbiter and looks at what it leaves.
func (a *Arbiter) finish() {
	if err := a.Stop(context.Background()); err != nil {
		a.t.Errorf("the arbiter did not stop by itself: %v", err)
	}
	if a.t.Failed() {
		a.t.Logf("the arbiter's log:\n%s", a.log)
	}
}

// Stop stops the arbiter, as its own Stop does, before the test ends: nobody is told of dead
// letters afterwards, so they are looked at first.
func (a *Arbiter) Stop(ctx context.Context) error {
	letters, err := a.letters()
	if err == nil {
		for _, l := range letters {
			a.t.Errorf("a dead letter nobody asked for: %s from %q to %q: %s", l.Command, l.Sender, l.Target, l.Reason)
		}
	}
	return a.Arbiter.Stop(ctx)
}

// Context returns a context in which the arbiter is the sender.
func (a *Arbiter) Context() context.Context { return a.ctx }

// Spawn starts an actor, or fails the test.
func (a *Arbiter) Spawn(kind actor.Behaviour, options ...actor.SpawnOption) actor.Ref {
	a.t.Helper()
	ref, err := a.Arbiter.Spawn(a.ctx, kind, options...)
	if err != nil {
		a.t.Fatalf("spawn %s: %v", nameOf(kind), err)
	}
	return ref
}

// nameOf is the name of a kind, also of one that is missing.
func nameOf(kind actor.Behaviour) string {
	if kind == nil {
		return "nil"
	}
	return kind.KindName()
}

// Join has an actor of kind join over a connection in memory, as one from another
// program would, or fails the test.
func (a *Arbiter) Join(kind actor.Behaviour, options actor.JoinOptions) *actor.Member {
	a.t.Helper()
	ours, theirs := peer.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		a.ServeConn(theirs)
	}()
	if options.Logger == nil {
		options.Logger = slog.New(slog.NewTextHandler(a.log, nil))
	}
	m := actor.NewMember("", kind, options.Over(ours))
	a.t.Cleanup(func() {
		_ = m.Close()
		_ = ours.Close() // of which a member of no kind takes no notice
		<-served
	})
	if _, err := m.Ref(a.ctx); err != nil {
		a.t.Fatalf("join %s: %v", nameOf(kind), err)
	}
	return m
}

// DeadLetters returns the one-way messages that reached no handler since it was
// last called. Those it returns do not fail the test.
func (a *Arbiter) DeadLetters() []actor.DeadLetter {
	a.t.Helper()
	fresh, err := a.letters()
	if err != nil {
		a.t.Fatalf("dead letters: %v", err)
	}
	return fresh
}

// letters returns the dead letters that nobody has been told of, once.
func (a *Arbiter) letters() ([]actor.DeadLetter, error) {
	letters, err := actor.DeadLetters.Call(a.ctx, actor.Arbiter, actor.None{})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := slices.DeleteFunc(letters, func(l actor.DeadLetter) bool { return l.Seq <= a.read })
	if n := len(fresh); n > 0 {
		a.read = fresh[n-1].Seq
	}
	return fresh, nil
}

// Log returns what the arbiter and its actors have logged so far.
func (a *Arbiter) Log() string { return a.log.String() }

// logs keeps what is logged.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

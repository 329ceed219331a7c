package arbitertest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

var (
	Add   = actor.NewCommand[int, int]("add")
	Later = actor.NewCommand[time.Duration, int]("later")
	Fan   = actor.NewCommand[actor.Ref, actor.None]("fan")
	Odd   = actor.NewCommand[func(), actor.None]("odd")
)

type counter struct{ n int }

func (c *counter) Add(_ context.Context, by int) (int, error) { c.n += by; return c.n, nil }

// Later counts after d.
func (c *counter) Later(ctx context.Context, d time.Duration) (int, error) {
	actor.After(ctx, d, func(context.Context) { c.n += 1000 })
	return c.n, nil
}

// Fan waits in two goroutines of one handler, which an interleaved actor may not.
func (c *counter) Fan(ctx context.Context, to actor.Ref) (actor.None, error) {
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := Add.Call(ctx, to, 1)
			done <- err
		}()
	}
	return actor.None{}, errors.Join(<-done, <-done)
}

func kind(mode actor.Mode) *actor.Kind[*counter] {
	return &actor.Kind[*counter]{
		Name: "counter",
		New:  func(context.Context) (*counter, error) { return &counter{}, nil },
		Mode: mode,
		Handlers: []actor.Handler[*counter]{
			actor.Handle(Add, (*counter).Add), actor.Handle(Later, (*counter).Later), actor.Handle(Fan, (*counter).Fan),
			actor.On(Odd, func(*counter, context.Context, func()) error { return nil }),
		},
	}
}

func TestMain(m *testing.M) { arbitertest.Main(m, kind(actor.Serial)) }

// An hour of an actor's life passes at once.
func TestVirtualTime(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		c := a.Spawn(kind(actor.Serial))
		began := time.Now()
		if _, err := Later.Call(a.Context(), c, time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		if n, err := Add.Call(a.Context(), c, 1); n != 1001 || err != nil {
			t.Errorf("after %v: %d, %v", time.Since(began), n, err)
		}
	})
}

// A call without a deadline ends after the default one, also over a connection.
func TestDefaultDeadline(t *testing.T) {
	block := actor.NewCommand[actor.None, actor.None]("block")
	blocker := &actor.Kind[actor.None]{Name: "blocker", Handlers: []actor.Handler[actor.None]{
		actor.Handle(block, func(_ actor.None, ctx context.Context, _ actor.None) (actor.None, error) {
			<-ctx.Done()
			return actor.None{}, ctx.Err()
		}),
	}}
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		local := a.Spawn(blocker)
		m := a.Join(blocker, actor.JoinOptions{})
		joined, err := m.Ref(a.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range []actor.Ref{local, joined} {
			for _, ctx := range []context.Context{a.Context(), m.Context(context.Background())} {
				began := time.Now()
				_, err := block.Call(ctx, target, actor.None{})
				if !errors.Is(err, actor.ErrDeadline) {
					t.Errorf("%v", err)
				}
				if took := time.Since(began); took < 30*time.Second || took > 30*time.Second+50*time.Millisecond {
					t.Errorf("the default deadline was told after %v", took)
				}
			}
		}
	})
}

// What could not leave the process is refused inside it too.
func TestEverythingEncoded(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		c := a.Spawn(kind(actor.Serial))
		if _, err := Odd.Call(a.Context(), c, func() {}); !errors.Is(err, actor.ErrNotEncodable) {
			t.Errorf("a function as argument: %v", err)
		}
	})
}

func TestProcess(t *testing.T) {
	a := arbitertest.New(t)
	c := a.Spawn(kindOnce, actor.Process())
	if n, err := Add.Call(a.Context(), c, 4); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

var kindOnce = kind(actor.Serial)

// recorder is a test that fails without failing the one it is part of.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Failed() bool        { return len(r.failures) > 0 }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Cleanup(f func())    { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) finish() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

func TestUnreadDeadLetterFails(t *testing.T) {
	for _, ask := range []bool{false, true} {
		r := &recorder{TB: t}
		a := arbitertest.New(r, kindOnce)
		c := a.Spawn(kindOnce)
		m := a.Join(kindOnce, actor.JoinOptions{})
		ctx := m.Context(context.Background())
		if err := actor.Send(ctx, c, "nothing"); err != nil {
			t.Fatal(err)
		}
		if _, err := Add.Call(ctx, c, 1); err != nil {
			t.Fatal(err)
		}
		if ask {
			if letters := a.DeadLetters(); len(letters) != 1 || letters[0].Code != actor.UnknownCommand {
				t.Errorf("dead letters: %+v", letters)
			}
		}
		r.finish()
		if r.Failed() == ask {
			t.Errorf("asked for: %v, failures: %q", ask, r.failures)
		}
	}
}

func TestMisuseFails(t *testing.T) {
	r := &recorder{TB: t}
	a := arbitertest.New(r)
	other := &actor.Kind[*counter]{Name: "slow", New: func(context.Context) (*counter, error) { return &counter{}, nil },
		Handlers: []actor.Handler[*counter]{actor.Handle(Add, func(_ *counter, _ context.Context, n int) (int, error) {
			<-time.After(10 * time.Millisecond)
			return n, nil
		})}}
	slow := a.Spawn(other)
	weaver := a.Spawn(kind(actor.Interleaved))
	if _, err := Fan.Call(a.Context(), weaver, slow); err != nil {
		t.Fatal(err)
	}
	r.finish()
	if len(r.failures) == 0 || !strings.Contains(r.failures[0], "broke a rule") {
		t.Errorf("failures: %q", r.failures)
	}
}

// A dead letter is told once, however many there were before: the arbiter keeps the last 1,024.
func TestDeadLettersBeyondThoseKept(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		m := a.Join(&actor.Kind[actor.None]{Name: "sender"}, actor.JoinOptions{})
		send := func(n int) {
			for range n {
				_ = actor.Send(m.Context(context.Background()), "nobody", "add", 1)
			}
			synctest.Wait()
		}
		for _, sent := range []int{5, 1100, 0, 7, 1024} {
			send(sent)
			if got, want := len(a.DeadLetters()), min(sent, 1024); got != want {
				t.Errorf("%d dead letters after %d more, want %d", got, sent, want)
			}
		}
	})
}

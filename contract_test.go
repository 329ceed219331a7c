package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Each row of docs/contract.md has a test here with its number: the least that shows what the
// row says, over connections in memory and in virtual time where that can be. What a row
// says under attack, on sockets and with processes is in the other tests that the page names.

// TestContractPage: the page has a row for each of the tests, and names it.
func TestContractPage(t *testing.T) {
	page, err := os.ReadFile("docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("contract_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := make(map[string]string) // by number of the row
	for _, m := range regexp.MustCompile(`(?m)^func (TestContract(\d\d)\w+)\(`).FindAllStringSubmatch(string(source), -1) {
		tests[m[2]] = m[1]
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) [^|]*\|.*\|(.*)\|$`).FindAllStringSubmatch(string(page), -1)
	if len(rows) != len(tests) || len(rows) < 18 {
		t.Errorf("the page has %d rows, and there are %d tests", len(rows), len(tests))
	}
	for _, row := range rows {
		number := row[1]
		if len(number) == 1 {
			number = "0" + number
		}
		if name := tests[number]; name == "" || !strings.HasPrefix(strings.TrimSpace(row[2]), "`"+name+"`") {
			t.Errorf("row %s is shown by %q first, and its test is %q", row[1], strings.TrimSpace(row[2]), name)
		}
	}
}

// inMemory runs f in virtual time with an arbiter.
func inMemory(t *testing.T, f func(t *testing.T, a *arbitertest.Arbiter)) {
	t.Helper()
	arbitertest.Run(t, f, Subject, Weaver, Mirror, Letbox, Reader)
}

// joinedAs is the aid of a member.
func joinedAs(t *testing.T, m *actor.Member) actor.Ref {
	t.Helper()
	ref, err := m.Ref(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// took fails the test if more than limit has passed since began.
func took(t *testing.T, what string, began time.Time, limit time.Duration) {
	t.Helper()
	if d := time.Since(began); d > limit {
		t.Errorf("%s took %v, at most %v was promised", what, d, limit)
	}
}

func TestContract01Life(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		first := a.Join(Subject, actor.JoinOptions{Name: "tally"})
		was := joinedAs(t, first)
		if _, err := Double.Call(a.Context(), actor.To("tally"), 1); err != nil {
			t.Fatal(err)
		}
		_ = first.Close()
		<-first.Done()
		synctest.Wait()
		if _, err := Double.Call(a.Context(), actor.To(was.AID), 1); !errors.Is(err, actor.ErrDown) {
			t.Errorf("the life that is over is told of as %v, want down", err)
		}
		if _, err := Double.Call(first.Context(context.Background()), actor.Arbiter, 1); !errors.Is(err, actor.ErrClosed) {
			t.Errorf("who is over calls: %v, want closed: it does not connect again", err)
		}
		second := joinedAs(t, a.Join(Subject, actor.JoinOptions{Name: "tally"}))
		if second.AID == was.AID {
			t.Errorf("the next life has the aid of the one before, %s", was.AID)
		}
		if _, err := Double.Call(a.Context(), actor.To(was.AID), 1); !errors.Is(err, actor.ErrDown) {
			t.Errorf("then it is told of as %v, want down", err)
		}
	})
}

func TestContract02Order(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		a.Spawn(Judge, actor.Name("judge"))
		for _, to := range []actor.Ref{a.Spawn(Soaker), joinedAs(t, a.Join(Soaker, actor.JoinOptions{}))} {
			sender := a.Join(Subject, actor.JoinOptions{}).Context(context.Background())
			const n = 500
			for i := range n {
				size := 10
				if i%50 == 0 { // it goes in pieces, and those behind it wait
					size = 300_000
				}
				if err := SoakTell.Send(sender, to, parcel("one", uint64(i)+1, size)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := SoakEcho.Call(sender, to, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second) // heartbeats
			if have := accountOf(t, a.Context(), to); have.Started != n+1 {
				t.Errorf("%v, want %d started", have, n+1)
			}
		}
		if heard, err := Complaint.Call(a.Context(), actor.To("judge"), actor.None{}); err != nil || len(heard) > 0 {
			t.Errorf("%v, %v", heard, err)
		}
	})
}

func TestContract03Duplicates(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		pool, err := a.Pool(a.Context(), Reader, actor.PoolArgs{Name: "readers", Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := Fell.Call(a.Context(), pool, false); !errors.Is(err, actor.ErrDown) {
			t.Errorf("a call whose worker died was answered with %d, %v: it was made again", n, err)
		}
		if n, err := Fall.Call(a.Context(), pool, false); n != 2 || err != nil {
			t.Errorf("an idempotent one was answered with %d, %v, want the second attempt", n, err)
		}
		if _, err := Fall.Call(a.Context(), pool, true); !errors.Is(err, actor.ErrDown) {
			t.Errorf("one whose every worker dies: %v, want down after the second", err)
		}
	})
}

func TestContract04NoSilentLoss(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		to := a.Spawn(Subject)
		busy := Block.Start(a.Context(), to, actor.None{})
		for i := range 10 {
			if err := Record.Send(a.Context(), to, i); err != nil {
				t.Fatal(err)
			}
		}
		waits := Double.Start(a.Context(), to, 1)
		if _, err := a.Kill(a.Context(), to); err != nil {
			t.Fatal(err)
		}
		_, err := waits.Wait()
		if _, err2 := busy.Wait(); !errors.Is(err, actor.ErrDown) || !errors.Is(err2, actor.ErrDown) {
			t.Errorf("the callers are told %v and %v, want down", err, err2)
		}
		if letters := a.DeadLetters(); len(letters) != 10 {
			t.Errorf("%d of 10 one-way messages are dead letters", len(letters))
		}
		in, err := actor.InspectActor.Call(a.Context(), actor.Arbiter, actor.Arbiter)
		if err != nil || !in.Account.Balanced() || in.Account.DeadLetters != 10 {
			t.Errorf("the account: %v, %v", in.Account, err)
		}
	})
}

func TestContract05Outcome(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		for _, to := range []actor.Ref{a.Spawn(Subject), joinedAs(t, a.Join(Subject, actor.JoinOptions{}))} {
			ctx, cancel := context.WithTimeout(a.Context(), time.Second)
			began := time.Now()
			_, err := Block.Call(ctx, to, actor.None{})
			if !errors.Is(err, actor.ErrDeadline) {
				t.Errorf("%v, want the deadline", err)
			}
			took(t, "a call with a second to live", began, time.Second+50*time.Millisecond)
			cancel()
			if _, err := Fail.Call(a.Context(), to, "no"); !errors.Is(err, actor.ErrApp) {
				t.Errorf("%v, want the error of the handler", err)
			}
		}
	})
}

func TestContract06Death(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		for _, to := range []actor.Ref{a.Spawn(Weaver), joinedAs(t, a.Join(Weaver, actor.JoinOptions{}))} {
			told := make(chan actor.Ended, 2)
			if _, err := actor.Watch(a.Context(), to, func(_ context.Context, e actor.Ended) { told <- e }); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err := Panic.Call(a.Context(), to, "oh no")
			var down *actor.DownError
			if !errors.As(err, &down) || down.Cause != actor.CausePanic || !strings.Contains(down.Reason, "oh no") {
				t.Errorf("the caller is told %v", err)
			}
			e := <-told
			if e.Ref.AID != to.AID || e.Cause != actor.CausePanic {
				t.Errorf("the watcher is told %+v", e)
			}
			took(t, "telling of a death", began, 100*time.Millisecond)
			time.Sleep(time.Minute)
			if len(told) != 0 {
				t.Error("the watcher is told twice")
			}
		}
	})
}

func TestContract07Deadlines(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		began := time.Now()
		if _, err := Block.Call(a.Context(), a.Spawn(Subject), actor.None{}); !errors.Is(err, actor.ErrDeadline) {
			t.Errorf("%v, want the deadline", err)
		}
		if d := time.Since(began); d < 30*time.Second || d > 30*time.Second+50*time.Millisecond {
			t.Errorf("a call without a deadline of its own ended after %v, want 30s", d)
		}
		// Work whose time is up is dropped before it starts.
		to := a.Spawn(Subject)
		busy := Block.Start(a.Context(), to, actor.None{})
		ctx, cancel := context.WithTimeout(a.Context(), time.Second)
		defer cancel()
		if _, err := Record.Call(a.Context(), to, 1); err != nil { // accepted, and waits
			t.Fatal(err)
		}
		late := Canceled.Start(ctx, to, actor.None{})
		if _, err := late.Wait(); !errors.Is(err, actor.ErrDeadline) {
			t.Errorf("%v, want the deadline", err)
		}
		busy.Cancel()
		synctest.Wait()
		in, err := actor.InspectActor.Call(a.Context(), actor.Arbiter, to)
		if err != nil || in.Account.Withdrawn != 1 {
			t.Errorf("the account of the target: %v, %v, want one withdrawn", in.Account, err)
		}
		// What is left crosses every hop, from one process into another and back.
		x, y := a.Spawn(lefts), joinedAs(t, a.Join(lefts, actor.JoinOptions{}))
		for _, road := range [][]actor.Ref{{x}, {y}, {x, y}, {y, x}, {x, y, x}, {y, x, y}} {
			ctx, cancel := context.WithTimeout(a.Context(), 7*time.Second)
			if d, err := remains.Call(ctx, road[0], road[1:]); err != nil || d < 6*time.Second || d > 7*time.Second {
				t.Errorf("of 7s a handler %d calls away has %v, %v", len(road), d, err)
			}
			cancel()
		}
	})
}

// remains returns what time there is, at the end of a road of calls.
var remains = actor.NewCommand[[]actor.Ref, time.Duration]("remains")

var lefts = &actor.Kind[actor.None]{Name: "lefts", Mode: actor.Interleaved, Handlers: []actor.Handler[actor.None]{
	actor.Handle(remains, func(_ actor.None, ctx context.Context, road []actor.Ref) (time.Duration, error) {
		if len(road) > 0 {
			return remains.Call(ctx, road[0], road[1:])
		}
		d, _ := ctx.Deadline()
		return time.Until(d), nil
	}),
}}

func TestContract08Cancel(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		elsewhere := a.Join(Subject, actor.JoinOptions{}).Context(a.Context())
		for _, to := range []actor.Ref{a.Spawn(Subject), joinedAs(t, a.Join(Subject, actor.JoinOptions{}))} {
			for i, ctx := range []context.Context{a.Context(), elsewhere} {
				began := time.Now()
				p := Block.Start(ctx, to, actor.None{})
				synctest.Wait()
				p.Cancel()
				if _, err := p.Wait(); !errors.Is(err, actor.ErrCanceled) {
					t.Errorf("%v, want canceled", err)
				}
				if n, err := Canceled.Call(ctx, to, actor.None{}); n != i+1 || err != nil {
					t.Errorf("%d handlers saw the end of their context, %v, want %d", n, err, i+1)
				}
				took(t, "the end of the handler", began, 0)
			}
		}
	})
}

func TestContract09Replies(t *testing.T) {
	w := newWorld(t)
	w.spawn(Subject, actor.Name("tally"))
	forger := w.raw()
	forger.join()
	forger.send(wire.Message{Kind: wire.KindReply, ID: 1 << 20})
	if told := forger.cut(); told == nil || told.Code != wire.CodeProtocol {
		t.Errorf("who answers what was never asked is told %v, want protocol", told)
	}
	liar := w.raw()
	me := liar.join()
	liar.send(wire.Message{Kind: wire.KindRequest, ID: 1, Target: []byte("tally"), Sender: []byte("arbiter"), Command: []byte("who_asks")})
	m, err := liar.next()
	var who actor.Ref
	if err == nil {
		err = wire.Decode(m.Codec, m.Body, &who)
	}
	if err != nil || who.AID != me.AID {
		t.Errorf("who says that it is another is taken for %v, %v, want %s", who, err, me.AID)
	}
}

func TestContract10Handlers(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		x, y := a.Spawn(Subject), joinedAs(t, a.Join(Subject, actor.JoinOptions{}))
		began := time.Now()
		if _, err := Relay.Call(a.Context(), x, []actor.Ref{y, x}); !errors.Is(err, actor.ErrApp) || !strings.Contains(err.Error(), "cycle") && !strings.Contains(err.Error(), "wait") {
			t.Errorf("a wait in a circle: %v", err)
		}
		took(t, "finding it", began, 0)
		for _, to := range []actor.Ref{x, y} {
			busy := Block.Start(a.Context(), to, actor.None{})
			synctest.Wait()
			if pong, err := actor.Ping.Call(a.Context(), to, actor.None{}); pong != "pong" || err != nil {
				t.Errorf("while a handler runs: %q, %v", pong, err)
			}
			busy.Cancel()
		}
	})
}

func TestContract11Bounds(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		for _, to := range []actor.Ref{a.Spawn(Letbox), joinedAs(t, a.Join(Letbox, actor.JoinOptions{}))} {
			busy := Block.Start(a.Context(), to, actor.None{})
			synctest.Wait()
			taken := 0
			for ; taken < 1000; taken++ {
				if err := Posted.TrySend(a.Context(), to, Post{N: taken}); err != nil {
					if !errors.Is(err, actor.ErrOverloaded) {
						t.Errorf("a full inbox: %v, want overloaded", err)
					}
					break
				}
			}
			if taken > 8 {
				t.Errorf("%d messages went into an inbox of 4", taken)
			}
			// Who may wait does, and goes on when there is room.
			var all sync.WaitGroup
			all.Go(func() {
				if err := Posted.Send(a.Context(), to, Post{N: 99}); err != nil {
					t.Errorf("who waits for room: %v", err)
				}
			})
			synctest.Wait()
			busy.Cancel()
			all.Wait()
			synctest.Wait() // it is there: the stop below would overtake what is on its way
		}
		in, err := actor.InspectActor.Call(a.Context(), actor.Arbiter, actor.Arbiter)
		if err != nil || in.Memory == nil || in.Memory.Budget == 0 || in.Memory.Held > in.Memory.Budget {
			t.Errorf("the budget of memory: %+v, %v", in.Memory, err)
		}
	})
}

func TestContract12NoDeadlock(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		members := []*actor.Member{a.Join(Soaker, actor.JoinOptions{}), a.Join(Soaker, actor.JoinOptions{})}
		began := time.Now()
		const n = 1000 // 16 times a window, each way
		var all sync.WaitGroup
		for i, m := range members {
			to := joinedAs(t, members[1-i])
			all.Go(func() {
				for k := range n {
					if err := SoakTell.Send(m.Context(context.Background()), to, parcel(fmt.Sprint(i), uint64(k)+1, 16<<10)); err != nil {
						t.Error(err)
						return
					}
				}
				if _, err := SoakEcho.Call(m.Context(context.Background()), to, nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		took(t, "two that flood each other", began, 0)
		time.Sleep(10 * time.Second) // heartbeats
		for _, m := range members {
			if have := accountOf(t, a.Context(), joinedAs(t, m)); have.Started != n+1 {
				t.Errorf("%v, want %d started", have, n+1)
			}
		}
	})
}

func TestContract13Fairness(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		stuck, server := joinedAs(t, a.Join(Letbox, actor.JoinOptions{})), joinedAs(t, a.Join(Mirror, actor.JoinOptions{}))
		flooder, caller := a.Join(Caller, actor.JoinOptions{}), a.Join(Caller, actor.JoinOptions{})
		busy := Block.Start(a.Context(), stuck, actor.None{})
		synctest.Wait()
		flood := flooder.Context(context.Background())
		sent := 0
		for Posted.TrySend(flood, stuck, Post{Load: make([]byte, 10_000)}) == nil {
			sent++
		}
		began := time.Now()
		for range 100 {
			if _, err := Bytes.Call(caller.Context(context.Background()), server, make([]byte, 10_000)); err != nil {
				t.Fatalf("who has nothing to do with it: %v", err)
			}
			if _, err := Bytes.Call(flood, server, make([]byte, 10_000)); err != nil {
				t.Fatalf("who floods it, to another: %v", err)
			}
		}
		took(t, "a hundred calls of others", began, 0)
		busy.Cancel()
		synctest.Wait()
		if got, err := Open.Call(a.Context(), stuck, actor.None{}); len(got) != sent || err != nil {
			t.Errorf("of %d messages that were taken %d came, %v", sent, len(got), err)
		}
	})
}

func TestContract14ControlFirst(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		for _, to := range []actor.Ref{a.Spawn(Letbox), joinedAs(t, a.Join(Letbox, actor.JoinOptions{}))} {
			busy := Block.Start(a.Context(), to, actor.None{})
			synctest.Wait()
			for Posted.TrySend(a.Context(), to, Post{Load: make([]byte, 1000)}) == nil {
			}
			began := time.Now()
			if _, err := actor.StopActor.Call(a.Context(), actor.Arbiter, to); err != nil {
				t.Errorf("a stop: %v", err)
			}
			took(t, "a stop behind a full inbox", began, 10*time.Second)
			_, _ = busy.Wait()
		}
		_ = a.DeadLetters()
	})
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		// A cancel: what is on its way to the target, and has no room there, waits in the arbiter.
		stuck, m := joinedAs(t, a.Join(Letbox, actor.JoinOptions{})), a.Join(Caller, actor.JoinOptions{})
		ctx := m.Context(context.Background())
		busy := Block.Start(ctx, stuck, actor.None{})
		for n := range 100 {
			if err := Posted.TrySend(ctx, stuck, Post{N: n, Load: make([]byte, 10_000)}); err != nil {
				break
			}
		}
		synctest.Wait()
		began := time.Now()
		busy.Cancel()
		if got, err := Open.Call(ctx, stuck, actor.None{}); len(got) < 10 || err != nil {
			t.Errorf("%d letters, %v: nothing was held back", len(got), err)
		}
		took(t, "a cancel behind what has no room", began, 0)
	})
}

func TestContract15Sizes(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		m := a.Join(Mirror, actor.JoinOptions{})
		to, ctx := joinedAs(t, m), m.Context(context.Background())
		if b, err := Bytes.Call(a.Context(), to, make([]byte, 15<<20)); len(b) != 15<<20 || err != nil {
			t.Errorf("15 MiB: %d bytes, %v", len(b), err)
		}
		for who, ctx := range map[string]context.Context{"the arbiter": a.Context(), "a member": ctx} {
			var e *actor.Error
			if _, err := Bytes.Call(ctx, a.Spawn(Mirror), make([]byte, 17<<20)); !errors.Is(err, actor.ErrTooLarge) || !errors.As(err, &e) || e.Started != actor.StartedNo {
				t.Errorf("17 MiB from %s: %v, want too large, and that it did not start", who, err)
			}
		}
	})
}

func TestContract16DeadLetters(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		a.Spawn(Mirror) // so that there are events
		events := make(chan []actor.Event, 1)
		last, err := actor.Events.Call(a.Context(), actor.Arbiter, actor.EventsArgs{})
		if err != nil {
			t.Fatal(err)
		}
		go func() { // a subscription is to ask for what comes next, and to wait for it
			list, _ := actor.Events.Call(a.Context(), actor.Arbiter, actor.EventsArgs{Since: last[len(last)-1].Seq, Wait: 20 * time.Second})
			events <- list
		}()
		synctest.Wait()
		m := a.Join(Caller, actor.JoinOptions{})
		const n = 1100
		for range n {
			if err := actor.Send(m.Context(context.Background()), "nobody", "record", 1); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		letters := a.DeadLetters()
		if len(letters) != 1024 {
			t.Errorf("%d letters are kept, want the last 1024", len(letters))
		}
		if l := letters[0]; l.Target != "nobody" || l.Command != "record" || l.Code != actor.UnknownActor || l.Sender == "" || l.Reason == "" {
			t.Errorf("a letter says %+v", l)
		}
		if lines := strings.Count(a.Log(), "a dead letter"); lines != 1 {
			t.Errorf("%d lines of the log about letters of one moment, want 1", lines)
		}
		time.Sleep(time.Second)
		_ = actor.Send(m.Context(context.Background()), "nobody", "record", 1)
		synctest.Wait()
		_ = a.DeadLetters()
		if lines := strings.Count(a.Log(), "a dead letter"); lines != 2 {
			t.Errorf("%d lines a second later, want 2", lines)
		}
		seen := <-events
		list, err := actor.Events.Call(a.Context(), actor.Arbiter, actor.EventsArgs{Since: last[len(last)-1].Seq})
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 || !slices.ContainsFunc(append(seen, list...), func(e actor.Event) bool { return e.Type == "dead_letter" && strings.Contains(e.Text, "nobody") }) {
			t.Errorf("who waits for events is told %v", seen)
		}
		in, err := actor.InspectActor.Call(a.Context(), actor.Arbiter, actor.Arbiter)
		if err != nil || in.Account.DeadLetters != n+1 {
			t.Errorf("the account: %v, %v, want %d dead letters", in.Account, err, n+1)
		}
	})
}

func TestContract17ArbitersDeath(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		ours, theirs := peer.Pipe()
		served := make(chan struct{})
		go func() { defer close(served); a.ServeConn(theirs) }()
		m := actor.NewMember("", Subject, actor.JoinOptions{Logger: quiet}.Over(ours))
		to := joinedAs(t, m)
		Block.Start(a.Context(), to, actor.None{})
		synctest.Wait()
		began := time.Now()
		theirs.Cut() // what a connection to a process that was killed does
		<-m.Done()
		took(t, "an actor whose arbiter is gone", began, time.Second)
		if m.Err() == nil {
			t.Error("it does not say why it ended")
		}
		<-served
	})
}

// tardy takes its time to begin.
var tardy = &actor.Kind[actor.None]{
	Name: "tardy",
	New: func(ctx context.Context) (actor.None, error) {
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
		return actor.None{}, ctx.Err()
	},
	Handlers: []actor.Handler[actor.None]{actor.Handle(Double, func(_ actor.None, _ context.Context, n int) (int, error) { return 2 * n, nil })},
}

func TestContract18Starting(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := a.Arbiter.Spawn(a.Context(), tardy, actor.Name("tardy")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		began := time.Now()
		if n, err := Double.Call(a.Context(), actor.To("tardy"), 2); n != 4 || err != nil {
			t.Errorf("a call to one that is starting: %d, %v", n, err)
		}
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("it took %v, and the start 5s", d)
		}
		all.Wait()
	})
}

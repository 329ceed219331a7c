package actor_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/internal/peer"
)

var (
	Watch   = actor.NewCommand[actor.Ref, none]("watch")
	Unwatch = actor.NewCommand[none, none]("unwatch")
	Tell    = actor.NewCommand[actor.Ref, none]("tell")
)

// watcher watches whom it is told to and writes down what it hears.
func watcher(heard *journal) *actor.Kind[none] {
	var all []actor.Watching
	return &actor.Kind[none]{Name: "watcher", Handlers: []actor.Handler[none]{
		actor.On(Watch, func(_ none, ctx context.Context, who actor.Ref) error {
			w, err := actor.Watch(ctx, who, func(ctx context.Context, e actor.Ended) {
				if _, ok := actor.Current(ctx); !ok {
					heard.add("nobody's turn")
				}
				heard.add(fmt.Sprintf("%s of %s", e.Cause, e.Ref.Name))
			})
			all = append(all, w)
			return err
		}),
		actor.On(Unwatch, func(none, context.Context, none) error {
			for _, w := range all {
				w.Stop()
				w.Stop()
			}
			all = nil
			return nil
		}),
		actor.On(Note, func(_ none, _ context.Context, text string) error {
			time.Sleep(time.Millisecond)
			heard.add(text)
			return nil
		}),
		actor.On(Busy, func(_ none, _ context.Context, d time.Duration) error { time.Sleep(d); return nil }),
	}}
}

// teller sends a hundred messages and is gone.
var teller = &actor.Kind[none]{Name: "teller", Handlers: []actor.Handler[none]{
	block, blow,
	actor.On(Tell, func(_ none, ctx context.Context, to actor.Ref) error {
		for n := range 100 {
			if err := Note.Send(ctx, to, fmt.Sprint(n)); err != nil {
				return err
			}
		}
		panic("told all")
	}),
}}

func (w *world) putNamed(kind actor.Behaviour, name string) actor.Ref {
	w.t.Helper()
	if w.place == "goroutine" {
		return w.Spawn(kind, actor.Name(name))
	}
	ref, err := w.Join(kind, actor.JoinOptions{Name: name}).Ref(w.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return ref
}

// The Down comes once, in the watcher's own turn, after the last message of the
// dead.
func TestDownIsLast(t *testing.T) {
	everywhere(t, func(w *world) {
		heard := &journal{}
		watching, telling := w.put(watcher(heard)), w.putNamed(teller, "teller")
		if _, err := Watch.Call(w.ctx, watching, telling); err != nil {
			w.t.Fatal(err)
		}
		_, err := Tell.Call(w.ctx, telling, watching)
		wantDown(w.t, "tell", err, actor.CausePanic, "told all")
		time.Sleep(time.Minute)
		got := heard.all()
		if len(got) != 101 || got[100] != "panic of teller" {
			w.t.Fatalf("%d things were heard, the last %q", len(got), got[max(0, len(got)-3):])
		}
		for n, line := range got[:100] {
			if line != fmt.Sprint(n) {
				w.t.Fatalf("at place %d was heard %q", n, line)
			}
		}
	})
}

// Watching somebody dead or unknown is told at once, by the error.
func TestWatchTheDead(t *testing.T) {
	everywhere(t, func(w *world) {
		heard := &journal{}
		f := func(_ context.Context, e actor.Ended) { heard.add("down of " + e.Ref.String()) }
		dead := w.put(teller)
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, dead); err != nil {
			w.t.Fatal(err)
		}
		began := time.Now()
		_, err := actor.Watch(w.ctx, dead, f)
		wantDown(w.t, "watching the dead", err, actor.CauseKilled)
		_, err = actor.Watch(w.ctx, actor.To("nobody"), f)
		want(w.t, "watching nobody", err, actor.ErrUnknownActor, actor.StartedNo, `"nobody"`)
		_, err = actor.Watch(context.Background(), dead, f)
		want(w.t, "nobody watching", err, actor.ErrRefused, actor.StartedNo, "Member.Context")
		if took := time.Since(began); took != 0 {
			w.t.Errorf("it was told after %v", took)
		}
		time.Sleep(time.Minute)
		heard.want(w.t, "the dead")
		actor.Watching{}.Stop() // the zero Watching has nothing to stop
	})
}

// Each watch is told once, however often one watches; one that was ended is not
// told.
func TestUnwatch(t *testing.T) {
	everywhere(t, func(w *world) {
		heard := &journal{}
		watching, watched := w.put(watcher(heard)), w.putNamed(teller, "it")
		for range 3 {
			if _, err := Watch.Call(w.ctx, watching, watched); err != nil {
				w.t.Fatal(err)
			}
		}
		if _, err := Unwatch.Call(w.ctx, watching, none{}); err != nil {
			w.t.Fatal(err)
		}
		for range 2 {
			if _, err := Watch.Call(w.ctx, watching, watched); err != nil {
				w.t.Fatal(err)
			}
		}
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, watched); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(time.Minute)
		heard.want(w.t, "the two that remained", "killed of it", "killed of it")
		if _, err := Unwatch.Call(w.ctx, watching, none{}); err != nil { // what is over may be ended
			w.t.Error(err)
		}
	})
}

// A watcher that dies first harms nobody. One that is busy, or was asked to stop,
// hears of the end when it has the turn, behind what was sent before.
func TestWatcherDies(t *testing.T) {
	everywhere(t, func(w *world) {
		forgotten, heard := &journal{}, &journal{}
		gone := watcher(forgotten)
		gone.Name = "gone"
		dies, lives, watched := w.put(gone), w.put(watcher(heard)), w.putNamed(teller, "it")
		for _, who := range []actor.Ref{dies, lives} {
			if _, err := Watch.Call(w.ctx, who, watched); err != nil {
				w.t.Fatal(err)
			}
		}
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, dies); err != nil {
			w.t.Fatal(err)
		}
		busy := Busy.Start(w.ctx, lives, 3*time.Second)
		synctest.Wait()
		if err := Note.Send(w.ctx, lives, "behind"); err != nil {
			w.t.Error(err)
		}
		synctest.Wait()
		if err := actor.Stop.Send(w.ctx, lives, none{}); err != nil {
			w.t.Error(err)
		}
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, watched); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		heard.want(w.t, "while it is busy")
		if _, err := busy.Wait(); err != nil {
			w.t.Error(err)
		}
		time.Sleep(time.Second)
		heard.want(w.t, "then", "behind", "killed of it")
		for _, line := range forgotten.all() {
			if line == "killed of it" {
				w.t.Error("the dead was told")
			}
		}
	})
}

// Two actors may watch each other, and an actor itself.
func TestWatchEachOther(t *testing.T) {
	everywhere(t, func(w *world) {
		dead, heard := &journal{}, &journal{}
		other := watcher(dead)
		other.Name = "other"
		a, b := w.putNamed(other, "a"), w.putNamed(watcher(heard), "b")
		for _, pair := range [][2]actor.Ref{{a, b}, {b, a}, {a, a}} {
			if _, err := Watch.Call(w.ctx, pair[0], pair[1]); err != nil {
				w.t.Fatal(err)
			}
		}
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, a); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(time.Second)
		heard.want(w.t, "the one that lives", "killed of a")
	})
}

// A watch by name is of who has it now.
func TestWatchByName(t *testing.T) {
	everywhere(t, func(w *world) {
		ended := make(chan actor.Ended, 2)
		first := w.putNamed(teller, "it")
		if _, err := actor.Watch(w.ctx, actor.To("it"), func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
			w.t.Fatal(err)
		}
		for _, kill := range []bool{true, true} {
			if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, actor.To("it")); err != nil {
				w.t.Fatal(err)
			}
			if kill {
				w.putNamed(teller, "it")
			}
		}
		if e := <-ended; e.Ref != first || e.Cause != actor.CauseKilled {
			w.t.Errorf("%+v, want %v", e, first)
		}
		synctest.Wait()
		if len(ended) != 0 {
			w.t.Errorf("the second was not watched: %+v", <-ended)
		}
	})
}

// Who watches over a connection that is lost is told so, of whom it watches: by the Ref it has
// given, since of the actor nothing is known.
func TestWatcherIsCutOff(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		it := a.Spawn(&actor.Kind[none]{Name: "watched"}, actor.Name("it"))
		ours, theirs := peer.Pipe()
		go a.ServeConn(theirs)
		m := actor.NewMember("", &actor.Kind[none]{Name: "watcher"}, actor.JoinOptions{Logger: slog.New(slog.DiscardHandler)}.Over(ours))
		ctx := m.Context(context.Background())
		told := make(map[actor.Ref]chan actor.Ended)
		for _, ref := range []actor.Ref{it, it.ByName(), {AID: it.AID}} {
			c := make(chan actor.Ended, 2)
			told[ref] = c
			if _, err := actor.Watch(ctx, ref, func(_ context.Context, e actor.Ended) { c <- e }); err != nil {
				t.Fatal(err)
			}
		}
		_ = theirs.Close()
		for ref, c := range told {
			if e := <-c; e.Ref != ref || e.Cause != actor.CauseConnection || e.Reason != "the connection to the arbiter is gone" {
				t.Errorf("%v: %+v", ref, e)
			}
		}
		_ = m.Close()
	})
}

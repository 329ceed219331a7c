package actor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// A name belongs to one living actor, as does an aid, and they share their space.
// When that has ended, the name is free and the aid means who it meant.
func TestNames(t *testing.T) {
	everywhere(t, func(w *world) {
		kind := &actor.Kind[none]{Name: "named", Grace: time.Minute, Stopping: func(none, context.Context) { time.Sleep(time.Second) }}
		first, err := w.Arbiter.Arbiter.Spawn(w.Context(), kind, actor.Name("it"), actor.AID("one"))
		if err != nil {
			w.t.Fatal(err)
		}
		for what, options := range map[string][]actor.SpawnOption{
			"the name":       {actor.Name("it")},
			"the aid":        {actor.AID("one")},
			"aid as name":    {actor.Name("one")},
			"name as aid":    {actor.AID("it")},
			"name, new aid":  {actor.Name("it"), actor.AID("two")},
			"aid, new name":  {actor.Name("that"), actor.AID("one")},
			"name of a live": {actor.Name(first.AID)},
		} {
			_, err := actor.Spawn(w.ctx, "named", options...)
			want(w.t, what, err, actor.ErrExists, actor.StartedNo, "belongs to a living actor")
		}
		for what, name := range map[string]string{"reserved": "arbiter", "reserved too": "monitor", "spaces": "a b", "long": strings.Repeat("n", 65)} {
			_, err := actor.Spawn(w.ctx, "named", actor.Name(name))
			want(w.t, what, err, actor.ErrInvalid, actor.StartedNo)
		}
		if _, err := actor.Ping.Call(w.ctx, actor.To("that"), none{}); !errors.Is(err, actor.ErrUnknownActor) {
			w.t.Errorf("a name that was refused with its aid: %v", err)
		}
		// While it is stopping it still lives.
		if err := actor.Stop.Send(w.ctx, first, none{}); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		_, err = actor.Spawn(w.ctx, "named", actor.Name("it"))
		want(w.t, "while it is stopping", err, actor.ErrExists, actor.StartedNo)
		time.Sleep(2 * time.Second)
		second, err := actor.Spawn(w.ctx, "named", actor.Name("it"))
		if err != nil || second.AID == first.AID {
			w.t.Fatalf("%v, %v", second, err)
		}
		_, err = actor.Ping.Call(w.ctx, first, none{})
		wantDown(w.t, "the first life", err, actor.CauseStopped)
		if _, err := actor.Ping.Call(w.ctx, first.ByName(), none{}); err != nil {
			w.t.Errorf("by name: %v", err)
		}
	})
}

// An arbiter that is stopping starts nobody, and says so.
func TestSpawnWhileStopping(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		kind := &actor.Kind[none]{Name: "slow", Stopping: func(none, context.Context) { time.Sleep(time.Second) }}
		a.Spawn(kind)
		stopped := make(chan error, 1)
		go func() { stopped <- a.Stop(context.Background()) }()
		synctest.Wait()
		_, err := a.Arbiter.Spawn(a.Context(), kind)
		want(t, "spawn", err, actor.ErrClosed, actor.StartedNo, "stopping")
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if _, err = a.Arbiter.Spawn(a.Context(), kind); err == nil {
			t.Error("an arbiter that has stopped spawned")
		}
		if _, err := actor.Ps.Call(a.Context(), actor.Arbiter, none{}); err == nil {
			t.Error("an arbiter that has stopped answered")
		}
	})
}

// A Ref that is zero names nobody, and whoever uses it is told so with what it was for.
func TestZeroRef(t *testing.T) {
	everywhere(t, func(w *world) {
		var zero actor.Ref
		_, called := Block.Call(w.ctx, zero, none{})
		_, started := Block.Start(w.ctx, zero, none{}).Wait()
		_, dynamic := actor.Call[int](w.ctx, "", "block")
		for what, err := range map[string]error{
			"a call": called, "a call started": started, "a call by name": dynamic,
			"a send": Block.Send(w.ctx, zero, none{}), "a send by name": actor.TrySend(w.ctx, "", "block"),
		} {
			want(w.t, what, err, actor.ErrUnknownActor, actor.StartedNo, "call block on nobody: the Ref is zero", "actor.To")
		}
		_, err := actor.Watch(w.ctx, zero, func(context.Context, actor.Ended) {})
		want(w.t, "a watch", err, actor.ErrUnknownActor, actor.StartedNo, "call watch on nobody: the Ref is zero")
		if letters := w.DeadLetters(); len(letters) != 0 {
			w.t.Errorf("dead letters: %v", letters)
		}
	})
}

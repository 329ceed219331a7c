package arbiter_test

import (
	"context"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// TestSuccessorIsFoundFromItsStart: who follows can be found, and finds itself, from its hook Started
// on, however soon that is, and its life is told after that of the one before it. Two processors are needed for
// it to fail.
func TestSuccessorIsFoundFromItsStart(t *testing.T) {
	w := quietWorld(t)
	load := actor.NewCommand[actor.None, actor.None]("load") // it goes on with its start by a message to itself
	aid := func(r actor.Ref) actor.Ref { return r }
	kill := func(who actor.Ref) (actor.Cause, error) {
		d, err := actor.KillActor.Call(w.ctx, actor.Arbiter, who)
		return d.Cause, err
	}
	restart := func(who actor.Ref) (actor.Cause, error) {
		_, err := actor.RestartActor.Call(w.ctx, actor.Arbiter, who)
		return actor.CauseKilled, err
	}
	for name, how := range map[string]struct {
		ref   func(actor.Ref) actor.Ref
		ends  func(who actor.Ref) (actor.Cause, error)
		lives int
	}{
		"by-aid": {aid, kill, 5000}, "by-name": {actor.Ref.ByName, kill, 5000}, "restarted": {aid, restart, 1000},
	} {
		service := &actor.Kind[actor.None]{
			Name: name,
			Started: func(_ actor.None, ctx context.Context) error {
				self, _ := actor.Current(ctx)
				return load.Send(ctx, how.ref(self.Ref()), actor.None{})
			},
			Handlers: []actor.Handler[actor.None]{actor.On(load, func(actor.None, context.Context, actor.None) error { return nil })},
		}
		at := w.spawn(service, actor.Name(name), actor.Restart(supervise.Policy{MaxCrashes: -1, MinBackoff: time.Millisecond})).ByName()
		for n := range how.lives {
			if cause, err := how.ends(at); err != nil || cause != actor.CauseKilled {
				t.Fatalf("%s, life %d: %s, %v", name, n, cause, err)
			}
			for began := time.Now(); time.Since(began) < time.Duration(n%100)*time.Microsecond; { // where the next one is in its start
			}
		}
		events, err := actor.Events.Call(w.ctx, actor.Arbiter, actor.EventsArgs{})
		if err != nil {
			t.Fatal(err)
		}
		lives := ""
		for _, e := range events {
			switch {
			case e.Actor.Name != name:
			case e.Type == "ended":
				lives = ""
			case e.Type == "spawned" && lives != "":
				t.Fatalf("%s, event %d: %v is told of before the end of %s", name, e.Seq, e.Actor, lives)
			case e.Type == "spawned":
				lives = e.Actor.AID
			}
		}
	}
}

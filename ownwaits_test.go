package arbiter_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/supervise"
)

var (
	ownStart = actor.NewCommand[bool, actor.None]("own-start") // whether it stops first
	getOf    = actor.NewCommand[string, string]("get")         // the aid of the getter of that name
	askBack  = actor.NewCommand[actor.Ref, string]("ask-back")
)

// getter has others of its kind, by get-or-create, and one of them asks it for itself while it starts.
var getter = &actor.Kind[actor.None]{
	Name: "getter",
	New: func(ctx context.Context) (none actor.None, err error) {
		self, _ := actor.Current(ctx)
		switch of, _ := self.Config("asks"); of {
		case nil:
		case "itself":
			_, err = actor.SpawnActor.Call(ctx, actor.Arbiter, actor.SpawnArgs{Kind: "getter", Name: self.Ref().Name, GetOrCreate: true})
		default:
			_, err = getOf.Call(ctx, actor.To(of.(string)), self.Ref().Name)
		}
		return none, err
	},
	Handlers: []actor.Handler[actor.None]{
		actor.Handle(ownStart, func(_ actor.None, ctx context.Context, stop bool) (none actor.None, err error) {
			self, _ := actor.Current(ctx)
			if stop {
				self.Stop("it wants to")
			}
			_, err = actor.StartActor.Call(ctx, actor.Arbiter, actor.To(self.Ref().Name))
			return none, err
		}),
		actor.Handle(getOf, func(_ actor.None, ctx context.Context, name string) (string, error) {
			ref, err := actor.SpawnActor.Call(ctx, actor.Arbiter, actor.SpawnArgs{Kind: "getter", Name: name, GetOrCreate: true})
			return ref.AID, err
		}),
		actor.Handle(askBack, func(_ actor.None, ctx context.Context, of actor.Ref) (string, error) {
			self, _ := actor.Current(ctx)
			return getOf.Call(ctx, of, self.Ref().Name)
		}),
	},
}

// circular reports whether err is a cycle, however many handlers it has come through.
func circular(err error) bool {
	return err != nil && strings.Contains(err.Error(), "the wait could never end")
}

// TestStartOfOneself: a handler that starts its own name waits for nothing where that lives, and for its
// own end where it has stopped itself: that is a wait that could never end.
func TestStartOfOneself(t *testing.T) {
	for _, name := range []string{"only", "web/1"} {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				if name == "only" {
					arb.Spawn(getter, actor.Name(name), actor.Restart(supervise.Policy{}))
				} else if _, err := arb.Pool(ctx, getter, actor.PoolArgs{Name: "web", Workers: 2}); err != nil {
					t.Fatal(err)
				}
				if _, err := ownStart.Call(ctx, actor.To(name), false); err != nil {
					t.Errorf("it lives: %v", err)
				}
				if _, err := ownStart.Call(ctx, actor.To(name), true); !circular(err) {
					t.Errorf("it has stopped itself: %v", err)
				}
				time.Sleep(time.Minute)
				if _, err := ownStart.Call(ctx, actor.To(name), false); err == nil {
					t.Error("the start that was refused has started it")
				}
			})
		})
	}
}

// TestGetOfWhoWaits: get-or-create of one that waits for the handler that asks, as long as that is not
// ready, is a wait that could never end; of one that is ready it is none.
func TestGetOfWhoWaits(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		arb.Spawn(getter, actor.Name("asked"))
		for _, of := range []string{"asked", "itself"} {
			if _, err := arb.Arbiter.Spawn(ctx, getter, actor.Name("asks"), actor.Extra(map[string]any{"asks": of})); !circular(err) {
				t.Errorf("one that asks for %s while it starts: %v", of, err)
			}
		}
		ready := arb.Spawn(getter, actor.Name("ready"))
		if aid, err := askBack.Call(ctx, ready, actor.To("asked")); aid != ready.AID || err != nil {
			t.Errorf("get-or-create of one that is ready, and waits: %q, %v, want %s", aid, err, ready.AID)
		}
	})
}

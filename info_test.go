package arbiter_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// lockers are actors whose handler has a lock until its ctx ends, for which their Info waits.
func lockers(lock, unlock func()) *actor.Kind[actor.None] {
	return &actor.Kind[actor.None]{
		Name: "locker",
		Handlers: []actor.Handler[actor.None]{actor.Handle(Block, func(_ actor.None, ctx context.Context, _ actor.None) (actor.None, error) {
			lock()
			defer unlock()
			<-ctx.Done()
			return actor.None{}, ctx.Err()
		})},
		Info: func(actor.None) map[string]any {
			lock()
			defer unlock()
			return map[string]any{"free": true}
		},
	}
}

// durableLock is one that time may pass before, in a bubble.
func durableLock() (lock, unlock func()) {
	held := make(chan struct{}, 1)
	return func() { held <- struct{}{} }, func() { <-held }
}

const hookWaits = "the info hook has not returned after"

// TestInfoWaitsForAHandler: an actor whose Info waits for a lock that its handler has is asked, and
// listed, all the same, and so are all others.
func TestInfoWaitsForAHandler(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		kind := lockers(durableLock())
		m := a.Join(lockers(durableLock()), actor.JoinOptions{})
		for _, s := range []actor.Ref{a.Spawn(kind), joinedAs(t, m)} {
			busy := Block.Start(a.Context(), s, actor.None{})
			synctest.Wait()
			for range 2000 { // more than there are places for commands of the arbiter
				info, err := actor.GetInfo.Call(a.Context(), s, actor.None{})
				if err != nil || info.Handling != "block" || !strings.HasPrefix(fmt.Sprint(info.Extra["error"]), hookWaits) {
					t.Fatalf("%+v, %v", info, err)
				}
			}
			time.Sleep(5 * time.Second) // a heartbeat
			list, err := actor.Ps.Call(a.Context(), actor.Arbiter, actor.None{})
			if err != nil || len(list) != 3 {
				t.Errorf("%d are listed, %v", len(list), err)
			}
			for _, i := range list {
				if said := strings.HasPrefix(fmt.Sprint(i.Extra["error"]), hookWaits); said != (i.AID == s.AID) {
					t.Errorf("ps: %+v", i)
				}
			}
			busy.Cancel()
			synctest.Wait()
			if info, err := actor.GetInfo.Call(a.Context(), s, actor.None{}); info.Extra["free"] != true || err != nil {
				t.Errorf("afterwards: %+v, %v", info, err)
			}
			time.Sleep(5 * time.Second)
		}
	})
}

// TestInfoThatCannotBeTold: an actor whose Info says what has no image on the wire, or what nobody
// could read, starts all the same, gives its signs of life, and spoils no list.
func TestInfoThatCannotBeTold(t *testing.T) {
	for what, say := range map[string]any{
		`field ["it"]: func() has no image on the wire`: func() {},
		`invalid map key type`:                          map[[2]int]string{{1, 2}: "a pair"},
	} {
		inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
			kind := &actor.Kind[actor.None]{Name: "odd", Info: func(actor.None) map[string]any { return map[string]any{"it": say, "other": 1} }}
			m := a.Join(kind, actor.JoinOptions{})
			for _, s := range []actor.Ref{a.Spawn(kind), joinedAs(t, m)} {
				time.Sleep(time.Minute)
				info, err := actor.GetInfo.Call(m.Context(context.Background()), s, actor.None{})
				if text := fmt.Sprint(info.Extra["error"]); err != nil || info.State != "running" || !strings.Contains(text, what) || len(info.Extra) != 1 {
					t.Errorf("%+v, %v, want something with %q", info, err, what)
				}
			}
			list, err := actor.Ps.Call(m.Context(context.Background()), actor.Arbiter, actor.None{})
			if err != nil || len(list) != 3 {
				t.Errorf("%d are listed, %v", len(list), err)
			}
			for _, i := range list {
				if text := fmt.Sprint(i.Extra["error"]); i.Kind == "odd" && !strings.Contains(text, what) || i.State != "running" {
					t.Errorf("ps: %+v", i)
				}
			}
			if !strings.Contains(a.Log(), "what the info hook says cannot be told") {
				t.Errorf("the log: %s", a.Log())
			}
		})
	}
}

// TestListOfTheStuck: they are waited for together.
func TestListOfTheStuck(t *testing.T) {
	inMemory(t, func(t *testing.T, a *arbitertest.Arbiter) {
		free := make(chan struct{})
		kind := &actor.Kind[actor.None]{Name: "stuck", Info: func(actor.None) map[string]any { <-free; return nil }}
		const n = 200
		for range n {
			a.Spawn(kind)
		}
		began := time.Now()
		list, err := actor.Ps.Call(a.Context(), actor.Arbiter, actor.None{})
		if len(list) != n+1 || err != nil {
			t.Errorf("%d are listed, %v", len(list), err)
		}
		took(t, "a list", began, 2*time.Second)
		close(free)
	})
}

// TestInfoWaitsForAMutex is TestInfoWaitsForAHandler with a lock as users have it.
func TestInfoWaitsForAMutex(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	locked := make(chan struct{}, 1)
	s := w.spawn(lockers(func() {
		mu.Lock()
		select {
		case locked <- struct{}{}:
		default:
		}
	}, mu.Unlock))
	busy := Block.Start(w.ctx, s, actor.None{})
	<-locked
	info, err := actor.GetInfo.Call(w.ctx, s, actor.None{})
	if err != nil || !strings.HasPrefix(fmt.Sprint(info.Extra["error"]), hookWaits) {
		t.Errorf("%+v, %v", info, err)
	}
	busy.Cancel()
	eventually(t, "the handler has returned", func() bool {
		info, err := actor.GetInfo.Call(w.ctx, s, actor.None{})
		return err == nil && info.Extra["free"] == true
	})
}

// TestHeartbeatOfAStuckInfo: a member whose Info does not return is not late with its heartbeat.
func TestHeartbeatOfAStuckInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arb, err := arbiter.Start(context.Background(), arbiter.Options{Name: "test", Logger: quiet, Heartbeat: 20 * time.Millisecond, HeartbeatTimeout: 60 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		free := make(chan struct{})
		kind := &actor.Kind[actor.None]{Name: "stuck", Info: func(actor.None) map[string]any { <-free; return nil }}
		far, near := peer.Pipe()
		go arb.ServeConn(near)
		m := actor.NewMember("", kind, actor.JoinOptions{Logger: quiet}.Over(far))
		ref := joinedAs(t, m)
		time.Sleep(time.Minute)
		if _, err := actor.Ping.Call(arb.Context(context.Background()), ref, actor.None{}); err != nil {
			t.Errorf("it was taken for dead: %v", err)
		}
		close(free)
		_ = m.Close()
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestStopNamesWhatGoesOn: a stop says which handlers and hooks it leaves behind, also those of
// actors that have ended long before; and waits for those that return.
func TestStopNamesWhatGoesOn(t *testing.T) {
	for name, returns := range map[string]bool{"in time": true, "never": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				arb, err := arbiter.Start(context.Background(), arbiter.Options{Name: "test", Logger: quiet})
				if err != nil {
					t.Fatal(err)
				}
				ctx, free := arb.Context(context.Background()), make(chan struct{})
				kind := &actor.Kind[actor.None]{
					Name: "stuck",
					Info: func(actor.None) map[string]any { <-free; return nil },
					Handlers: []actor.Handler[actor.None]{actor.Handle(Block, func(actor.None, context.Context, actor.None) (actor.None, error) {
						<-free
						return actor.None{}, nil
					})},
				}
				for _, name := range []string{"busy", "asked"} {
					s, err := arb.Spawn(ctx, kind, actor.Name(name))
					if err != nil {
						t.Fatal(err)
					}
					if name == "busy" {
						Block.Start(ctx, s, actor.None{})
						synctest.Wait()
					} else if _, err := actor.GetInfo.Call(ctx, s, actor.None{}); err != nil {
						t.Fatal(err)
					}
					if _, err := arb.Kill(ctx, s); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Hour)
				if info, err := actor.GetInfo.Call(ctx, actor.Arbiter, actor.None{}); err != nil {
					t.Error(err)
				} else if list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{}); err != nil || fmt.Sprint(list[0].Extra["leaked handlers"]) != "2" {
					t.Errorf("of the arbiter is known: %v, %v, %v", info.Extra, list, err)
				}
				if returns {
					time.AfterFunc(4*time.Second, func() { close(free) })
				} else {
					defer close(free)
				}
				err = arb.Stop(context.Background())
				if returns && err != nil {
					t.Errorf("stop: %v", err)
				}
				if want := `left behind: "block" of "busy", the info hook of "asked"`; !returns && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("stop: %v, want something with %q", err, want)
				}
			})
		})
	}
}

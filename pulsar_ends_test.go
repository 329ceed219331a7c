package arbiter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// pickledFloat is a float of Python.
func pickledFloat(f float64) string {
	return string(binary.BigEndian.AppendUint64([]byte{'G'}, math.Float64bits(f)))
}

// TestPulsarKillActor: what pulsar calls kill_actor asks to stop, and waits for the end.
func TestPulsarKillActor(t *testing.T) {
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		alpha := w.standin(v, "alpha001")
		kill := func(aid, rest string) any {
			t.Helper()
			alpha.send(framed(request("arbiter", "kill_actor", "("+string(pickledText(aid))+rest+"t", "k")))
			return alpha.callback()
		}

		// One that has a process here, and ends.
		alpha.send(v.frame(t, "spawn_from_actor_hooks_up_spawn"))
		if p, _ := alpha.callback().(*called); p == nil {
			t.Fatal("no proxy")
		}
		alpha.send(v.frame(t, "kill_actor_from_actor_up_kill_actor"))
		if r := alpha.callback(); r != "killed epsilon5" {
			t.Errorf("kill_actor: %v", r)
		}
		var down *actor.DownError
		if _, err := actor.Call[any](w.ctx, "epsilon5", "ping"); !errors.As(err, &down) || down.Death.Cause != actor.CauseStopped {
			t.Errorf("how it ended: %v", err)
		}

		// One that takes long over its end is left to it.
		beta := dialPulsar(t, w.address("pulsar:"), v, "beta0002")
		beta.stubborn = true
		beta.notify()
		beta.callback()
		if r := kill("beta0002", pickledFloat(0.05)); r != nil {
			t.Errorf("kill_actor of one that has not ended: %v", r)
		}
		if m := beta.next(); m["command"] != "stop" || m["ack"] != nil {
			t.Errorf("beta was sent %v", m)
		}
		if s, err := actor.Call[string](w.ctx, "beta0002", "ping"); err != nil || s != "pong" {
			t.Errorf("beta, when nobody waits for its end any more: %q, %v", s, err)
		}
		alpha.send(framed(request("arbiter", "kill_actor", "("+string(pickledText("beta0002"))+"Nt", "k"))) // as long as it takes
		beta.next()
		if m := beta.next(); m["command"] != "stop" {
			t.Errorf("beta was sent %v", m)
		}
		beta.conn.Close()
		if r := alpha.callback(); r != "killed beta0002" {
			t.Errorf("kill_actor without a timeout: %v", r)
		}

		// Another one follows who is supervised, as a monitor of pulsar's has it.
		ref, err := actor.Spawn(w.ctx, "", func(a *actor.SpawnArgs) {
			a.In, a.Name, a.Restart = "pulsar", "gamma", &supervise.Policy{}
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := kill("gamma", pickledFloat(20)); r != "killed gamma" {
			t.Errorf("kill_actor of one that is supervised: %v", r)
		}
		if s, err := actor.Call[string](w.ctx, "gamma", "ping"); err != nil || s != "pong" {
			t.Errorf("who follows it: %q, %v", s, err)
		}
		if i := w.info("gamma"); i.AID == ref.AID || i.Restarts != 1 {
			t.Errorf("who follows it: %+v", i)
		}
		// Whoever else asks for a kill has it done at once.
		if d, err := w.arb.Kill(w.ctx, actor.To("gamma")); err != nil || d.Cause != actor.CauseKilled {
			t.Errorf("a kill: %+v, %v", d, err)
		}
		if _, err := actor.Pool(w.ctx, actor.PoolArgs{Name: "crew", Workers: 2, Worker: actor.SpawnArgs{In: "pulsar"}}); err != nil {
			t.Fatal(err)
		}
		if r := kill("crew", ""); r != "killed crew" {
			t.Errorf("kill_actor of a pool: %v", r)
		}
		if _, err := actor.Call[any](w.ctx, "crew", "ping"); !errors.Is(err, actor.ErrUnknownActor) {
			t.Errorf("a pool after its kill_actor: %v", err)
		}
		// A stop frees no name: who was stopped by hand can be started again.
		if _, err := actor.StopActor.Call(w.ctx, actor.Arbiter, actor.To("gamma")); err != nil {
			t.Fatal(err)
		}
		if r := kill("gamma", pickledFloat(20)); r != nil {
			t.Errorf("kill_actor of one that was stopped: %v", r)
		}
		if _, err := actor.StartActor.Call(w.ctx, actor.Arbiter, actor.To("gamma")); err != nil {
			t.Errorf("a start after that: %v", err)
		}
		if r := kill("arbiter", ""); r != nil {
			t.Errorf("kill_actor of the arbiter: %v", r)
		}
	})
}

// TestPulsarKillActorAndGone: that it is pulsar who asks is known also of one that has ended meanwhile.
func TestPulsarKillActorAndGone(t *testing.T) {
	w := pulsarWorld(t)
	for n := range 20 {
		ref := w.spawn(Subject)
		ended := make(chan actor.Ended, 1)
		if _, err := actor.Watch(w.ctx, ref, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
			t.Fatal(err)
		}
		alpha := w.standin(v202, "alpha001")
		message := request("arbiter", "kill_actor", "("+string(pickledText(ref.AID))+"t", "k")
		message = append(message[:bytes.Index(message, pickledText("ack"))], append(pickledText("ack"), "Nu."...)...)
		if _, err := alpha.conn.Write(framed(message)); err != nil {
			t.Fatal(err)
		}
		alpha.conn.Close()
		select {
		case e := <-ended:
			if e.Cause != actor.CauseStopped {
				t.Fatalf("number %d: it %v", n, e.Death)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("number %d has not ended", n)
		}
		eventually(t, "alpha is gone", func() bool {
			_, err := actor.Call[any](w.ctx, "alpha001", "ping")
			return err != nil
		})
	}
}

// TestPulsarSpawnTimeout: a timeout that one is spawned with says how long it may be silent, as it
// says how often it notifies.
func TestPulsarSpawnTimeout(t *testing.T) {
	w := pulsarWorld(t)
	alpha := w.standin(v202, "alpha001")
	for timeout, want := range map[string]time.Duration{
		"K\x78": 2 * time.Minute, pickledFloat(45.5): 45500 * time.Millisecond,
		"K\x05": 10 * time.Second, // it notifies every 3 s then
		"K\x00": 0, "N": 0, string(pickledText("120")): 0, pickledFloat(math.NaN()): 0, pickledFloat(-1): 0,
		pickledFloat(math.Inf(1)): (1<<32 - 1) * time.Millisecond,
	} {
		kwargs := "}(" + string(pickledText("name")) + string(pickledText("patient")) + string(pickledText("timeout")) + timeout + "u"
		plain := string(pickledText("kwargs")) + "}"
		spawn := bytes.Replace(request("arbiter", "spawn", ")", "s"), []byte(plain), []byte(strings.TrimSuffix(plain, "}")+kwargs), 1)
		alpha.send(framed(spawn))
		if p, _ := alpha.callback().(*called); p == nil {
			t.Fatalf("%q: no proxy", timeout)
		}
		in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To("patient"))
		if err != nil || in.Spawn == nil || in.Spawn.HeartbeatTimeout != want {
			t.Errorf("%q: %+v, %v; want %v", timeout, in.Spawn, err, want)
		}
		if _, err := w.arb.Kill(w.ctx, actor.To("patient")); err != nil {
			t.Error(err)
		}
	}
}

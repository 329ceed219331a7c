package arbiter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// pulsarWorld is a world that takes alpha001 and beta0002, and spawns stand-ins.
func pulsarWorld(t *testing.T, change ...func(*arbiter.Options)) *world {
	t.Helper()
	return newWorld(t, append([]func(*arbiter.Options){func(o *arbiter.Options) {
		o.Pulsar = arbiter.PulsarOptions{
			Bind: "127.0.0.1:0", AIDs: []string{"alpha001", "beta0002"},
			Spawn: []string{"env", envStandin + "=1", os.Args[0], "{host}", "{port}", "{aid}", "{name}"},
		}
	}}, change...)...)
}

// both runs f for each pulsar.
func both(t *testing.T, f func(t *testing.T, v version)) {
	for _, v := range []version{v164, v202} {
		t.Run(string(v), func(t *testing.T) { f(t, v) })
	}
}

// joined returns a stand-in that the arbiter has taken as aid.
func (w *world) standin(v version, aid string) *standin {
	w.t.Helper()
	s := dialPulsar(w.t, w.address("pulsar:"), v, aid)
	s.notify()
	seconds, ok := s.callback().(uint64)
	if at := math.Float64frombits(seconds); !ok || math.Abs(at-float64(time.Now().Unix())) > 3600 {
		w.t.Fatalf("the answer to a notify is %v, not the time", at)
	}
	return s
}

func (w *world) info(name string) actor.Info {
	w.t.Helper()
	i, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return i.Info
}

func count(i actor.Info, name string) int64 {
	n, _ := i.Extra[name].(int64)
	if u, ok := i.Extra[name].(uint64); ok {
		n = int64(u)
	}
	return n
}

// TestPulsarActor is the life of one actor of pulsar, from both sides.
func TestPulsarActor(t *testing.T) {
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		alpha := w.standin(v, "alpha001")

		s, err := actor.Call[string](w.ctx, "alpha001", "ping")
		if err != nil || s != "pong" {
			t.Fatalf("ping: %q, %v", s, err)
		}
		m := alpha.next()
		if m["command"] != "ping" || m["sender"] != "arbiter" || m["target"] != "alpha001" || len(m["args"].(tuple)) != 0 {
			t.Errorf("it was sent %v", m)
		}
		n, err := actor.Call[int](w.ctx, "alpha001", "RUN", "@capfuncs.add", 1, actor.Kwargs{"b": 3})
		if err != nil || n != 4 {
			t.Fatalf("run: %v, %v", n, err)
		}
		m = alpha.next()
		args := m["args"].(tuple)
		if m["command"] != "run" || args[0] != (global{"capfuncs", "add"}) || args[1] != int64(1) || m["kwargs"].(map[string]any)["b"] != int64(3) {
			t.Errorf("run was sent as %v", m)
		}
		if _, err := actor.Call[any](w.ctx, "alpha001", "run", "os.system", "true"); !errors.Is(err, actor.ErrInvalid) {
			t.Errorf("a function without @: %v", err)
		}
		v1, err := actor.Call[any](w.ctx, "alpha001", "boom")
		if err != nil || v1 != nil {
			t.Errorf("an error of pulsar is None: %v, %v", v1, err)
		}
		alpha.next()
		_, err = actor.Call[any](w.ctx, "alpha001", "exception")
		if !errors.Is(err, actor.ErrNotEncodable) || !strings.Contains(err.Error(), "exceptions.ValueError") {
			t.Errorf("a result that has no image: %v", err)
		}
		alpha.next()

		i := w.info("alpha001")
		a, _ := i.Extra["actor"].(map[string]any)
		if i.Profile != "pulsar" || i.Kind != "alpha" || i.State != "running" || i.PID != 23719 && v == v202 || a["actor_id"] != "alpha001" {
			t.Errorf("info: %+v", i)
		}

		ended := make(chan actor.Ended, 1)
		watch := w.spawn(&actor.Kind[actor.None]{Name: "watch", New: func(ctx context.Context) (actor.None, error) {
			_, err := actor.Watch(ctx, actor.To("alpha001"), func(_ context.Context, e actor.Ended) { ended <- e })
			return actor.None{}, err
		}})
		_ = watch
		if err := actor.Stop.Send(w.ctx, actor.To("alpha001"), actor.None{}); err != nil {
			t.Fatal(err)
		}
		if m := alpha.next(); m["command"] != "stop" || m["ack"] != nil {
			t.Errorf("stop was sent as %v", m)
		}
		if e := <-ended; e.Death.Cause != actor.CauseStopped {
			t.Errorf("after a stop it %s", e.Death)
		}
		var down *actor.DownError
		if _, err := actor.Call[any](w.ctx, "alpha001", "ping"); !errors.As(err, &down) {
			t.Errorf("a call after its end: %v", err)
		}
		alpha = w.standin(v, "alpha001") // another life

		// A stop that somebody waits for is answered by the end.
		answer := make(chan error, 1)
		go func() {
			_, err := actor.Call[any](w.ctx, "alpha001", "stop")
			answer <- err
		}()
		if m := alpha.next(); m["command"] != "stop" {
			t.Errorf("stop was sent as %v", m)
		}
		if err := <-answer; err != nil {
			t.Errorf("a call of stop: %v", err)
		}
	})
}

// TestPulsarRouting has actors of pulsar ask each other, the arbiter, and others.
func TestPulsarRouting(t *testing.T) {
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		alpha, beta := w.standin(v, "alpha001"), w.standin(v, "beta0002")

		alpha.send(v.frame(t, "ping_from_actor_up_ping"))
		if r := alpha.callback(); r != "pong" {
			t.Errorf("the arbiter answered %v", r)
		}
		alpha.send(v.frame(t, "unknown_actor_up_ping"))
		if r := alpha.callback(); r != nil {
			t.Errorf("nobody answered %v", r)
		}
		alpha.send(v.frame(t, "unknown_command_arbiter_up_onlyhere"))
		if r := alpha.callback(); r != nil {
			t.Errorf("an unknown command was answered %v", r)
		}

		alpha.send(v.frame(t, "route_ping_up_ping"))
		if m := beta.next(); m["sender"] != "alpha001" || m["target"] != "beta0002" || m["command"] != "ping" {
			t.Errorf("beta got %v", m)
		}
		if r := alpha.callback(); r != "pong" {
			t.Errorf("beta answered %v", r)
		}
		alpha.send(v.frame(t, "route_fireforget_up_fireforget"))
		if m := beta.next(); m["ack"] != nil || m["args"].(tuple)[0] != int64(9) {
			t.Errorf("one way, beta got %v", m)
		}
		// An exception is nothing to us, and passes whole.
		alpha.send(with(t, v.frame(t, "unknown_command_actor_up_onlyhere"), "onlyhere", "exception"))
		beta.next()
		r, _ := alpha.callback().(*called)
		if r == nil || r.what != (global{"exceptions", "ValueError"}) || r.args[0] != "as-value" {
			t.Errorf("an exception came as %+v", r)
		}

		// A goroutine actor, by its name.
		w.spawn(Subject, actor.Name("tally"))
		alpha.send(with(t, v.frame(t, "unknown_command_actor_up_onlyhere"), "beta0002", "tally", "onlyhere", "who_asks"))
		if r, _ := alpha.callback().(map[string]any); r["aid"] != "alpha001" {
			t.Errorf("who asks: %v", r)
		}
		alpha.send(with(t, v.frame(t, "unknown_command_actor_up_onlyhere"), "beta0002", "tally", "onlyhere", "recorded"))
		if r := alpha.callback(); r != nil { // a nil slice
			t.Errorf("recorded: %v", r)
		}
		// One that joined, and asks back.
		other := w.member(w.address("tcp:"), Caller, actor.JoinOptions{Token: "secret", Name: "outside"})
		if s, err := actor.Call[string](other.Context(w.ctx), "beta0002", "ping"); err != nil || s != "pong" {
			t.Errorf("from outside: %q, %v", s, err)
		}
		if m := beta.next(); !strings.HasPrefix(m["sender"].(string), "caller-") {
			t.Errorf("from outside came %v", m)
		}
		alpha.send(with(t, v.frame(t, "route_ping_up_ping"), "beta0002", "outside"))
		if r := alpha.callback(); r != "pong" {
			t.Errorf("outside answered %v", r)
		}
	})
}

// TestPulsarSpawn has an actor of pulsar spawn another one, and kill it.
func TestPulsarSpawn(t *testing.T) {
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		alpha := w.standin(v, "alpha001")
		alpha.send(v.frame(t, "spawn_from_actor_up_spawn"))
		proxy, _ := alpha.callback().(*called)
		if proxy == nil {
			t.Fatal("no proxy")
		}
		state, _ := proxy.state.(map[string]any)
		cfg, hasConfig := state["cfg"]
		if proxy.args[0] != (global{"pulsar.async.proxy", "ActorProxy"}) || state["aid"] != "delta004" || state["name"] != "delta" || cfg != nil || !hasConfig {
			t.Errorf("the proxy is %+v", proxy)
		}
		i := w.info("delta") // the name it was given is an address, as it is unique
		if i.AID != "delta004" || i.In != "exec" || i.PID == 0 || i.Profile != "pulsar" {
			t.Errorf("info: %+v", i)
		}
		alpha.send(with(t, v.frame(t, "route_ping_up_ping"), "beta0002", "delta004"))
		if r := alpha.callback(); r != "pong" {
			t.Errorf("it answered %v", r)
		}
		// The same aid again, while it lives.
		alpha.send(v.frame(t, "spawn_from_actor_hooks_up_spawn"))
		if p, _ := alpha.callback().(*called); p == nil || p.state.(map[string]any)["aid"] != "epsilon5" {
			t.Errorf("a second one: %+v", p)
		}
		alpha.send(v.frame(t, "spawn_from_actor_up_spawn"))
		if r := alpha.callback(); r != nil {
			t.Errorf("an aid that is taken: %v", r)
		}
		alpha.send(v.frame(t, "kill_actor_from_actor_up_kill_actor"))
		if r := alpha.callback(); r != "killed epsilon5" {
			t.Errorf("kill_actor: %v", r)
		}
		alpha.send(v.frame(t, "kill_actor_from_actor_up_kill_actor"))
		if r := alpha.callback(); r != nil {
			t.Errorf("kill_actor of a dead one: %v", r)
		}
		d, err := w.arb.Kill(w.ctx, actor.To("delta004"))
		if err != nil || d.Cause != actor.CauseKilled || d.PID != i.PID {
			t.Errorf("kill: %+v, %v", d, err)
		}
		// By Go, and supervised by the policy of others.
		ref, err := actor.Spawn(w.ctx, "", func(a *actor.SpawnArgs) { a.In, a.Name = "pulsar", "gamma" })
		if err != nil {
			t.Fatal(err)
		}
		if s, err := actor.Call[string](w.ctx, ref, "ping"); err != nil || s != "pong" {
			t.Errorf("%v: %q, %v", ref, s, err)
		}
	})
}

// TestPulsarSpawnFails has programs that do not join.
func TestPulsarSpawnFails(t *testing.T) {
	w := pulsarWorld(t, func(o *arbiter.Options) {
		o.Pulsar.Spawn = []string{"sh", "-c", "echo cannot import name pulsar >&2; exit 7"}
		o.StartTimeout = 5 * time.Second
	})
	_, err := actor.Spawn(w.ctx, "", func(a *actor.SpawnArgs) { a.In = "pulsar" })
	var down *actor.DownError
	if !errors.As(err, &down) || down.Death.Cause != actor.CauseStart || !strings.Contains(err.Error(), "code 7") || !strings.Contains(err.Error(), "cannot import") {
		t.Errorf("a program that exits: %v", err)
	}
	alpha := w.standin(v202, "alpha001")
	alpha.send(v202.frame(t, "spawn_from_actor_up_spawn"))
	if r := alpha.callback(); r != nil {
		t.Errorf("the proxy of one that did not start: %v", r)
	}
	w = pulsarWorld(t, func(o *arbiter.Options) { o.Pulsar.Spawn = nil })
	if _, err = actor.Spawn(w.ctx, "", func(a *actor.SpawnArgs) { a.In = "pulsar" }); !errors.Is(err, actor.ErrRefused) {
		t.Errorf("without a command to spawn with: %v", err)
	}
}

// TestPulsarStrangers has peers that are not who they say.
func TestPulsarStrangers(t *testing.T) {
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		// Before the first notify nothing is routed.
		early := dialPulsar(t, w.address("pulsar:"), v, "alpha001")
		early.send(v.frame(t, "ping_from_actor_up_ping"))
		if r := early.callback(); r != nil {
			t.Errorf("before the first notify a ping is answered %v", r)
		}
		logged := func(what string) {
			t.Helper()
			if !strings.Contains(w.log.String(), what) {
				t.Errorf("the log does not say %q", what)
			}
		}
		logged("a message before the first notify goes nowhere: if a hook start has sent it, see child.py")
		// An aid that is not expected is answered, and is nobody.
		stranger := w.standin(v, "mallory1")
		stranger.send(with(t, v.frame(t, "ping_from_actor_up_ping"), "alpha001", "mallory1"))
		if r := stranger.callback(); r != nil {
			t.Errorf("a stranger's ping is answered %v", r)
		}
		if _, err := actor.Call[any](w.ctx, "mallory1", "ping"); !errors.Is(err, actor.ErrUnknownActor) {
			t.Errorf("the stranger was found: %v", err)
		}
		logged("nobody of that aid is expected: list it")

		alpha, beta := w.standin(v, "alpha001"), w.standin(v, "beta0002")
		// A second claim of a living aid.
		second := w.standin(v, "alpha001")
		second.send(v.frame(t, "ping_from_actor_up_ping"))
		if r := second.callback(); r != nil {
			t.Errorf("the second alpha's ping is answered %v", r)
		}
		logged("its hook start has sent before its first notify was answered, see child.py")
		if s, err := actor.Call[string](w.ctx, "alpha001", "ping"); err != nil || s != "pong" {
			t.Errorf("the first alpha: %q, %v", s, err)
		}
		if m := alpha.next(); m["command"] != "ping" {
			t.Errorf("the first alpha got %v", m)
		}

		// In the name of another.
		beta.send(v.frame(t, "ping_from_actor_up_ping")) // as alpha001
		if r := beta.callback(); r != nil {
			t.Errorf("a ping in another's name is answered %v", r)
		}
		before := w.info("alpha001")
		beta.send(with(t, v.frame(t, "handshake_process_up_notify"), "alpha", "taken"))
		if r := beta.callback(); r != nil {
			t.Errorf("a notify in another's name is answered %v", r)
		}
		after := w.info("alpha001")
		if a, b := before.Extra["actor"].(map[string]any)["name"], after.Extra["actor"].(map[string]any)["name"]; a != b {
			t.Errorf("alpha notified %q, and then %q", a, b)
		}
		if n := count(w.info("beta0002"), "forged"); n != 2 {
			t.Errorf("%d forged messages of beta, want 2", n)
		}
		// The two that are left out are told nothing, and hold nothing.
		if s, err := actor.Call[string](w.ctx, "beta0002", "ping"); err != nil || s != "pong" {
			t.Errorf("beta: %q, %v", s, err)
		}
	})
}

// runAt is a run of capfuncs.add(1, 3), from one to another, as pulsar's arbiter sends it.
func runAt(t *testing.T, v version, from, to string) []byte {
	return with(t, v.frame(t, "run_down_run"), "arbiter", "\x00", "alpha001", to, "\x00", from)
}

// TestPulsarRun is what is and is not to be run.
func TestPulsarRun(t *testing.T) {
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		alpha, beta := w.standin(v, "alpha001"), w.standin(v, "beta0002")
		for _, to := range []string{"arbiter", "monitor"} {
			alpha.send(runAt(t, v, "alpha001", to))
			if r := alpha.callback(); r != nil {
				t.Errorf("run at %s: %v", to, r)
			}
		}
		w.spawn(Subject, actor.Name("tally"))
		alpha.send(runAt(t, v, "alpha001", "tally"))
		if r := alpha.callback(); r != nil {
			t.Errorf("run at an actor of Go: %v", r)
		}
		alpha.send(runAt(t, v, "alpha001", "beta0002"))
		if m := beta.next(); m["args"].(tuple)[0] != (global{"capfuncs", "add"}) {
			t.Errorf("beta got %v", m)
		}
		if r := alpha.callback(); r != int64(4) {
			t.Errorf("run between actors of pulsar: %v", r)
		}
		if n := count(w.info("alpha001"), "refused"); n != 2 {
			t.Errorf("%d refused, want 2", n)
		}

		w = pulsarWorld(t, func(o *arbiter.Options) { o.Pulsar.NoRun = true })
		alpha, beta = w.standin(v, "alpha001"), w.standin(v, "beta0002")
		alpha.send(runAt(t, v, "alpha001", "beta0002"))
		if r := alpha.callback(); r != nil {
			t.Errorf("run is off, and came to %v", r)
		}
		if _, err := actor.Call[any](w.ctx, "beta0002", "run", "@capfuncs.add", 1, 3); !errors.Is(err, actor.ErrRefused) {
			t.Errorf("run is off: %v", err)
		}
		select {
		case m := <-beta.said:
			t.Errorf("run is off, and beta got %v", m)
		default:
		}
	})
}

// payload is a pickle of a request from alpha001 with the pairs given, an ack last.
func request(target, command, args string, ack string) []byte {
	b := []byte("\x80\x02}(")
	for _, s := range []string{"command", command, "id", "i0000001", "sender", "alpha001", "target", target, "args"} {
		b = append(b, pickledText(s)...)
	}
	b = append(b, args...)
	b = append(append(b, pickledText("kwargs")...), '}')
	b = append(append(b, pickledText("ack")...), 'q', 0)
	b = append(append(b, pickledText(ack)...), 'q', 1)
	return append(b, 'u', '.')
}

// TestPulsarHostile has frames that are meant to do harm.
func TestPulsarHostile(t *testing.T) {
	v := v202
	w := pulsarWorld(t)
	alpha, beta := w.standin(v, "alpha001"), w.standin(v, "beta0002")
	w.spawn(Subject, actor.Name("tally"))
	marker := w.dir + "/harmed"

	ask := func(payload []byte) any {
		t.Helper()
		alpha.send(framed(payload))
		return alpha.callback()
	}
	system := "cos\nsystem\n" + string(pickledText("touch "+marker)) + "\x85R\x85"
	for _, to := range []string{"arbiter", "tally"} {
		if r := ask(request(to, "echo", system, "ack-"+to)); r != nil {
			t.Errorf("os.system towards %s: %v", to, r)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Fatal("os.system was run")
	}

	// A body that cannot be read: counted, kept, and answered where the ack is found.
	for what, payload := range map[string][]byte{
		"protocol 4":     append([]byte("\x80\x04"), request("beta0002", "ping", ")", "x")[2:]...),
		"persistent id":  request("beta0002", "ping", "Pevil\n", "x"),
		"an int of 1 MB": request("beta0002", "ping", "\x8b\x00\x00\x10\x00"+strings.Repeat("\x01", 1<<20)+"\x85", "x"),
		"two commands":   bytes.Replace(request("beta0002", "ping", ")", "x"), pickledText("id"), append(append(pickledText("command"), pickledText("run")...), pickledText("id")...), 1),
		"two acks":       bytes.Replace(request("beta0002", "ping", ")", "x"), pickledText("id"), append(append(pickledText("ack"), pickledText("y")...), pickledText("id")...), 1),
		"a list as args": request("beta0002", "ping", "]", "x"),
	} {
		if r := ask(payload); r != nil {
			t.Errorf("%s: answered %v", what, r)
		}
	}
	alpha.send(framed([]byte("\x80\x02.")))
	alpha.send(framed([]byte("GET / HTTP/1.1\r\n")))
	if r := ask(request("beta0002", "ping", ")", "x")); r != "pong" {
		t.Errorf("after all of that: %v", r)
	}
	if m := beta.next(); m["command"] != "ping" {
		t.Errorf("beta got %v", m)
	}
	if n := count(w.info("alpha001"), "undecodable"); n != 8 {
		t.Errorf("%d undecodable, want 8", n)
	}

	// What two readers might read differently does not leave as it came.
	odd := request("beta0002", "ping", "(t", "x")
	odd = bytes.Replace(odd, pickledText("ping"), append([]byte{'U', 4}, "ping"...), 1) // a str of Python 2
	if r := ask(odd); r != "pong" {
		t.Errorf("an unusual ping: %v", r)
	}
	beta.next()
	beta.mu.Lock()
	last := beta.raw[len(beta.raw)-1]
	beta.mu.Unlock()
	if bytes.Contains(last, []byte("U\x04ping")) || bytes.Contains(last, []byte("(t")) || bytes.Contains(last, odd[4:40]) {
		t.Errorf("a frame left as it came: %q", last)
	}

	// A callback nobody waits for, and frames that are no messages.
	f := v.frame(t, "ping_up_cb")
	alpha.send(f)
	alpha.send(with(t, f, ackIn(f), "c123456"))
	if _, err := alpha.conn.Write([]byte{0x89, 0x00, 0x81, 0x02, '{', '}'}); err != nil {
		t.Fatal(err)
	}
	if r := ask(request("arbiter", "ping", ")", "x")); r != "pong" {
		t.Errorf("after frames that are no messages: %v", r)
	}
	i := w.info("alpha001")
	if count(i, "strayCallbacks") != 2 || count(i, "foreignFrames") != 2 {
		t.Errorf("counts: %v", i.Extra)
	}
	// Two requests with one ack are answered once: a second callback would end the actor.
	double := framed(request("arbiter", "ping", ")", "twice"))
	alpha.send(append(append([]byte(nil), double...), double...))
	alpha.callback()
	if r := ask(request("arbiter", "ping", ")", "x")); r != "pong" {
		t.Errorf("after an ack that stood twice: %v", r)
	}
	// A masked frame is the end.
	if _, err := alpha.conn.Write([]byte{0x82, 0x81, 1, 2, 3, 4, 5}); err != nil {
		t.Fatal(err)
	}
	<-alpha.ended
	if s, err := actor.Call[string](w.ctx, "beta0002", "ping"); err != nil || s != "pong" {
		t.Errorf("beta, unharmed: %q, %v", s, err)
	}
}

// TestPulsarTooLarge: pulsar knows no limit. What is over ours is answered, its sender lives, and
// so does what it is asked.
func TestPulsarTooLarge(t *testing.T) {
	large := strings.Repeat("x", 16<<20)
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		alpha := dialPulsar(t, w.address("pulsar:"), v, "alpha001")
		alpha.answer = func(s *standin, m map[string]any) []byte {
			if m["command"] == "much" {
				return with(t, pong(s, map[string]any{"command": "ping", "ack": m["ack"]}), "pong", large)
			}
			return pong(s, m)
		}
		alpha.notify()
		alpha.callback()
		beta := w.standin(v, "beta0002")

		alpha.send(with(t, v.frame(t, "route_kwargs_up_echo"), "kw", large)) // to beta0002
		if r := alpha.callback(); r != nil {
			t.Errorf("it is answered %v", r)
		}
		alpha.send(with(t, v.frame(t, "route_fireforget_up_fireforget"), "fireforget", large)) // nobody waits
		var e *actor.Error
		if _, err := actor.Call[any](w.ctx, "alpha001", "much"); !errors.Is(err, actor.ErrTooLarge) || !errors.As(err, &e) || e.Started != actor.StartedYes {
			t.Errorf("a result that is too large: %v", err)
		}
		alpha.next()
		alpha.send(v.frame(t, "route_ping_up_ping"))
		if r := alpha.callback(); r != "pong" {
			t.Errorf("after all of that: %v", r)
		}
		if m := beta.next(); m["command"] != "ping" {
			t.Errorf("beta got %v", m)
		}
		if n := count(w.info("alpha001"), "undecodable"); n != 3 {
			t.Errorf("%d undecodable, want 3", n)
		}
	})
}

// TestPulsarPickleOfOthers has a native peer hand in a pickle.
func TestPulsarPickleOfOthers(t *testing.T) {
	w := pulsarWorld(t)
	alpha := w.standin(v202, "alpha001")
	r := w.raw()
	aid := r.join().AID
	evil := []byte("\x80\x02}q\x00(X\x04\x00\x00\x00argscos\nsystem\nX\x04\x00\x00\x00true\x85RX\x06\x00\x00\x00kwargs}u.")
	r.send(wire.Message{Kind: wire.KindRequest, Flags: wire.FlagArgs, Codec: wire.CodecPickle, ID: 7, Target: []byte("alpha001"), Command: []byte("ping"), Body: evil})
	m, err := r.next()
	if err != nil || m.Kind != wire.KindError || string(m.Command) != string(wire.CodeProtocol) {
		t.Errorf("a pickle of a native peer: %v %q, %v", m.Kind, m.Command, err)
	}
	// As an answer.
	alpha.send(framed(request(aid, "ping", ")", "x")))
	if m, err = r.next(); err != nil || m.Kind != wire.KindRequest || m.Codec != wire.CodecCBOR {
		t.Fatalf("it was asked %+v, %v", m, err)
	}
	r.send(wire.Message{Kind: wire.KindReply, ID: m.ID, Codec: wire.CodecPickle, Body: evil})
	if v := alpha.callback(); v != nil {
		t.Errorf("the answer: %v", v)
	}
	alpha.mu.Lock()
	defer alpha.mu.Unlock()
	for _, b := range alpha.raw {
		if bytes.Contains(b, []byte("system")) {
			t.Errorf("it came through: %q", b)
		}
	}
}

// TestPulsarSilence has one that no longer notifies.
func TestPulsarSilence(t *testing.T) {
	w := pulsarWorld(t, func(o *arbiter.Options) { o.Pulsar.Timeout = 300 * time.Millisecond })
	alpha := w.standin(v202, "alpha001")
	<-alpha.ended
	_, err := actor.Call[any](w.ctx, "alpha001", "ping")
	var down *actor.DownError
	if !errors.As(err, &down) || down.Death.Cause != actor.CauseHeartbeat {
		t.Errorf("it was silent: %v", err)
	}
	// Nor may a stranger sit there for ever.
	stranger := dialPulsar(t, w.address("pulsar:"), v202, "alpha001")
	<-stranger.ended
}

// TestPulsarIsNoGuest: who has said who it is stays, however many come and say nothing.
func TestPulsarIsNoGuest(t *testing.T) {
	w := pulsarWorld(t)
	alpha := w.standin(v202, "alpha001")
	var last net.Conn
	for range 300 { // 256 are taken
		c, err := net.Dial("tcp", strings.TrimPrefix(w.address("pulsar:"), "pulsar:"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if last == nil {
			last = c
		}
	}
	_ = last.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the first of the silent: %v, want its end", err)
	}
	if s, err := actor.Call[string](w.ctx, "alpha001", "ping"); err != nil || s != "pong" {
		t.Errorf("alpha: %q, %v", s, err)
	}
	if m := alpha.next(); m["command"] != "ping" {
		t.Errorf("alpha got %v", m)
	}
}

// TestPulsarBind is where it may listen.
func TestPulsarBind(t *testing.T) {
	for bind, want := range map[string]string{
		"0.0.0.0:0": "loopback", ":0": "loopback", "192.0.2.1:0": "loopback", "127.0.0.1": "no address", "example.com:1": "loopback",
	} {
		_, err := arbiter.Start(t.Context(), arbiter.Options{Pulsar: arbiter.PulsarOptions{Bind: bind}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", bind, err)
		}
	}
	if _, err := arbiter.Start(t.Context(), arbiter.Options{Pulsar: arbiter.PulsarOptions{AIDs: []string{"a"}}}); err == nil || !strings.Contains(err.Error(), "Bind") {
		t.Errorf("aids without an address: %v", err)
	}
}

// TestPulsarArbiter has an actor of Go join a real arbiter of pulsar, as captured.
func TestPulsarArbiter(t *testing.T) {
	large := strings.Repeat("x", 16<<20)
	both(t, func(t *testing.T, v version) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		m := actor.NewMember("pulsar:"+l.Addr().String(), Subject, actor.JoinOptions{AID: "gopher01", Name: "gopher"})
		defer m.Close()
		served := make(chan error, 1)
		go func() { served <- m.Serve(ctx) }()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		arb := &standin{t: t, v: v, aid: "arbiter", conn: c, said: make(chan map[string]any, 16), ended: make(chan struct{}), waiting: map[string]bool{},
			answer: func(s *standin, m map[string]any) []byte {
				ack, _ := m["ack"].(string)
				f := v.frame(t, "handshake_process_down_cb")
				if m["command"] != "notify" {
					f = v.frame(t, "ping_from_actor_down_cb")
				}
				if m["command"] == "much" {
					return with(t, f, ackIn(f), ack, "pong", large)
				}
				return with(t, f, ackIn(f), ack)
			}}
		go arb.run()
		n := arb.next()
		info, _ := n["args"].(tuple)[0].(map[string]any)["actor"].(map[string]any)
		if n["command"] != "notify" || n["sender"] != "gopher01" || n["target"] != "arbiter" || info["name"] != "gopher" || info["actor_id"] != "gopher01" || info["state"] != "running" {
			t.Fatalf("its first message is %v", n)
		}
		ask := func(frame []byte) any {
			t.Helper()
			arb.send(with(t, frame, "alpha001", "gopher01"))
			for {
				if m := arb.next(); m["command"] == "callback" {
					return m["result"]
				} // else a heartbeat
			}
		}
		if r := ask(v.frame(t, "ping_down_ping")); r != "pong" {
			t.Errorf("ping: %v", r)
		}
		double := v.frame(t, "custom_command_mixed_case_down_addcmd") // addcmd(2)
		if r := ask(with(t, double, "addcmd", "double")); r != int64(4) {
			t.Errorf("double: %v", r)
		}
		if r := ask(with(t, double, "addcmd", "dubble")); r != nil {
			t.Errorf("an unknown command: %v", r)
		}
		if r := ask(with(t, v.frame(t, "route_kwargs_up_echo"), "kw", large, "beta0002", "alpha001")); r != nil {
			t.Errorf("more than is taken: %v", r)
		}
		if _, err := actor.Call[any](m.Context(ctx), "alpha001", "much"); !errors.Is(err, actor.ErrTooLarge) {
			t.Errorf("a result of more than is taken: %v", err)
		}
		for arb.next()["command"] != "much" { // a heartbeat
		}
		s, err := actor.Call[string](m.Context(ctx), "alpha001", "ping")
		if err != nil || s != "pong" {
			t.Errorf("a call from Go: %q, %v", s, err)
		}
		if q := arb.next(); q["sender"] != "gopher01" || q["target"] != "alpha001" || q["command"] != "ping" {
			t.Errorf("the arbiter was sent %v", q)
		}
		if _, err := actor.Watch(m.Context(ctx), actor.To("alpha001"), func(context.Context, actor.Ended) {}); !errors.Is(err, actor.ErrRefused) {
			t.Errorf("a watch: %v", err)
		}
		if at := m.Connection(); at.Profile != "pulsar" {
			t.Errorf("its connection is %+v", at)
		}
		arb.send(with(t, v.frame(t, "stop_down_stop"), "alpha001", "gopher01"))
		if err := <-served; err != nil {
			t.Errorf("after a stop Serve returns %v", err)
		}
		<-arb.ended
		if !strings.Contains(arb.why, "EOF") {
			t.Errorf("the arbiter's end: %s", arb.why)
		}
	})
}

// TestPulsarAndJSON has an actor of pulsar and one that types JSON ask each other.
func TestPulsarAndJSON(t *testing.T) {
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		alpha := w.standin(v, "alpha001")
		p := w.typist()
		aid := p.join(``)

		p.say(`{"command":"ping","target":"alpha001","ack":"1"}`)
		if m := p.await("callback"); m["result"] != "pong" {
			t.Errorf("json was answered %v", m)
		}
		if m := alpha.next(); m["sender"] != aid || m["command"] != "ping" {
			t.Errorf("alpha got %v", m)
		}
		p.say(`{"command":"run","target":"alpha001","args":["@capfuncs.add",1],"kwargs":{"b":3},"ack":"2"}`)
		if m := p.await("callback"); fmt.Sprint(m["result"]) != "4" {
			t.Errorf("json was answered %v", m)
		}
		if m := alpha.next(); m["args"].(tuple)[0] != (global{"capfuncs", "add"}) || m["kwargs"].(map[string]any)["b"] != int64(3) {
			t.Errorf("alpha got %v", m)
		}
		p.say(`{"command":"exception","target":"alpha001","ack":"3"}`)
		if m := p.await("callback"); m["error"].(map[string]any)["code"] != "not_encodable" {
			t.Errorf("json was answered %v", m)
		}
		alpha.next()

		alpha.send(with(t, v.frame(t, "route_kwargs_up_echo"), "beta0002", aid)) // echo(message='kw')
		m := p.await("echo")
		if m["sender"] != "alpha001" || fmt.Sprint(m["kwargs"]) != "map[message:kw]" {
			t.Errorf("json was asked %v", m)
		}
		p.say(`{"command":"callback","ack":%q,"result":[1,{"$bytes":"aGk="},null]}`, m["ack"])
		l, _ := alpha.callback().(*list)
		if l == nil || len(l.items) != 3 || l.items[0] != int64(1) || l.items[2] != nil {
			t.Fatalf("alpha was answered %+v", l)
		}
		if b, _ := l.items[1].(*called); b == nil || b.what != (global{"_codecs", "encode"}) || b.args[0] != "hi" {
			t.Errorf("bytes came as %+v", l.items[1])
		}
		// An error is None.
		alpha.send(with(t, v.frame(t, "route_kwargs_up_echo"), "beta0002", aid))
		m = p.await("echo")
		p.say(`{"command":"callback","ack":%q,"error":{"message":"no"}}`, m["ack"])
		if r := alpha.callback(); r != nil {
			t.Errorf("an error came as %v", r)
		}
	})
}

// TestPulsarChatter has a stranger talk without end.
func TestPulsarChatter(t *testing.T) {
	for name, b := range map[string][]byte{"pings": {0x89, 0}, "no messages": {0x82, 1, 'x'}} {
		w := pulsarWorld(t)
		s := dialPulsar(t, w.address("pulsar:"), v202, "alpha001")
		_, _ = s.conn.Write(bytes.Repeat(b, 5000)) // it may be cut off meanwhile
		select {
		case <-s.ended:
		case <-w.ctx.Done():
			t.Errorf("%s: it is still listened to", name)
		}
		w.standin(v202, "alpha001")
	}
}

package arbiter_test

import (
	"errors"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// TestNamesThatAreNoText has messages to, and with, names that are not UTF-8: half of a surrogate
// pair, in Python. Those who look at what became of them can.
func TestNamesThatAreNoText(t *testing.T) {
	half := "\xed\xa0\x80"
	both(t, func(t *testing.T, v version) {
		w := pulsarWorld(t)
		w.spawn(Subject, actor.Name("tally"))
		look := w.member(w.address("tcp:"), Caller, actor.JoinOptions{Token: "secret"}).Context(w.ctx)

		alpha := w.standin(v, "alpha001")
		note := v.frame(t, "route_fireforget_up_fireforget")
		alpha.send(with(t, note, "beta0002", half))
		alpha.send(with(t, note, "beta0002", "tally", "fireforget", half))
		for _, texts := range [][]string{{"beta0002", half}, {"beta0002", "tally", "onlyhere", half}, {"alpha001", half}} {
			alpha.send(with(t, v.frame(t, "unknown_command_actor_up_onlyhere"), texts...))
			if r := alpha.callback(); r != nil {
				t.Errorf("a call with %q is answered %v", texts, r)
			}
		}
		if n := count(w.info("alpha001"), "undecodable"); n != 5 {
			t.Errorf("%d undecodable, want 5", n)
		}

		p := w.typist()
		aid := p.join("")
		p.say(`{"command":"ping","target":"\ud800"}`)
		p.say(`{"command":"\ud800","target":"tally"}`)
		for range 2 {
			if m := p.next(); m["command"] != "undelivered" || m["error"].(map[string]any)["code"] != "invalid" {
				t.Errorf("json was told %v", m)
			}
		}

		r := w.raw()
		if err := actor.Send(w.ctx, r.join().AID, "note"); err != nil {
			t.Fatal(err)
		}
		if m, err := r.next(); err != nil || m.Kind != wire.KindRequest {
			t.Fatalf("it was told %v, %v", m.Kind, err)
		}
		r.send(wire.Message{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Target: []byte(half), Command: []byte("ping")})
		r.send(wire.Message{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Target: []byte("tally"), Command: []byte(half)})
		r.send(wire.Message{Kind: wire.KindUndelivered, Target: []byte(half), Command: []byte("invalid")})
		for id, to := range []string{half, "tally", "alpha001", aid} {
			r.send(wire.Message{Kind: wire.KindRequest, ID: uint64(id) + 1, Target: []byte(to), Command: []byte(half)})
			m, err := r.next()
			for ; err == nil && m.Kind == wire.KindUndelivered; m, err = r.next() { // of those before
			}
			if err != nil || m.Kind != wire.KindError || string(m.Command) != string(wire.CodeInvalid) {
				t.Errorf("a call of %q at %s: %v %q, %v", half, to, m.Kind, m.Command, err)
			}
		}
		var run []byte // likewise where many come together
		for id := range uint64(8) {
			m := wire.Message{Kind: wire.KindRequest, ID: 100 + id, Target: []byte(aid), Command: []byte(half)}
			run = frame.AppendFrame(run, frame.Binary, m.Append(nil))
		}
		r.write(run)
		for range 8 {
			if m, err := r.next(); err != nil || m.Kind != wire.KindError || string(m.Command) != string(wire.CodeInvalid) {
				t.Errorf("one of many calls of %q: %v %q, %v", half, m.Kind, m.Command, err)
			}
		}

		for _, to := range []string{"alpha001", aid} {
			if _, err := actor.Call[any](w.ctx, to, half); !errors.Is(err, actor.ErrInvalid) {
				t.Errorf("a call of %q at %s: %v", half, to, err)
			}
		}
		_ = actor.Send(w.ctx, half, "ping")
		_ = actor.Send(w.ctx, "tally", half)
		p.say(`{"command":"ping","target":"arbiter","ack":"1"}`)
		if m := p.await("callback"); m["result"] != "pong" {
			t.Errorf("json was answered %v", m)
		}

		letters, err := actor.DeadLetters.Call(look, actor.Arbiter, actor.None{})
		if err != nil || len(letters) != 3 {
			t.Errorf("%d dead letters, %v", len(letters), err)
		}
		events, err := actor.Events.Call(look, actor.Arbiter, actor.EventsArgs{})
		if err != nil || len(events) == 0 {
			t.Errorf("%d events, %v", len(events), err)
		}
		for _, name := range []string{"arbiter", "tally", "alpha001", aid} {
			if _, err := actor.InspectActor.Call(look, actor.Arbiter, actor.To(name)); err != nil {
				t.Errorf("inspect %s: %v", name, err)
			}
		}
	})
}

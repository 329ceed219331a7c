package arbiter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
)

// typist is somebody who types messages of the json profile.
type typist struct {
	t *testing.T
	c net.Conn
	r *frame.Reader

	closed frame.CloseCode // of the arbiter's close frame; 0: none came
	reason string
}

func (w *world) typist() *typist {
	w.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(w.address("tcp:"), "tcp:"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	return &typist{t: w.t, c: c, r: frame.NewReader(c, frame.Options{TextUTF8: true, Limit: 64 << 20})}
}

func (p *typist) write(b []byte) {
	p.t.Helper()
	if _, err := p.c.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// say sends a message, as it stands.
func (p *typist) say(format string, args ...any) {
	p.t.Helper()
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	p.write(frame.AppendFrame(nil, frame.Text, []byte(text)))
}

// next returns the next message; it answers pings. At the end it is nil.
func (p *typist) next() map[string]any {
	p.t.Helper()
	for {
		op, payload, err := p.r.Next()
		var ne net.Error
		switch {
		case errors.As(err, &ne) && ne.Timeout():
			p.t.Fatal("nothing came")
		case err != nil:
			return nil
		}
		switch op {
		case frame.Ping:
			_, _ = p.c.Write(frame.AppendFrame(nil, frame.Pong, payload))
		case frame.Close:
			if p.closed, p.reason, err = frame.ParseClose(payload); err != nil {
				p.t.Error(err)
			}
		case frame.Text:
			d := json.NewDecoder(bytes.NewReader(payload))
			d.UseNumber()
			var m map[string]any
			if err := d.Decode(&m); err != nil {
				p.t.Fatalf("%s: %v", payload, err)
			}
			return m
		default:
			p.t.Fatalf("a %v frame", op)
		}
	}
}

// await returns the next message with the command.
func (p *typist) await(command string) map[string]any {
	p.t.Helper()
	for {
		m := p.next()
		if m == nil {
			p.t.Fatalf("the connection ended (%d %s) before a %s came", p.closed, p.reason, command)
		}
		if m["command"] == command {
			return m
		}
	}
}

// expect wants the next message to be text, but for the order of its members.
func (p *typist) expect(text string) {
	p.t.Helper()
	m := p.next()
	got, _ := json.Marshal(m)
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var want any
	if err := d.Decode(&want); err != nil {
		p.t.Fatal(err)
	}
	wanted, _ := json.Marshal(want)
	if !bytes.Equal(got, wanted) {
		p.t.Errorf("got  %s\nwant %s", got, wanted)
	}
}

// join says hello, with more members than the least, and returns the aid.
func (p *typist) join(more string) string {
	p.t.Helper()
	p.say(`{"command":"hello","kind":"typist","token":"secret"%s}`, more)
	return p.await("welcome")["aid"].(string)
}

// end reads to the end, and returns the last error it was told.
func (p *typist) end() (code string) {
	p.t.Helper()
	for {
		m := p.next()
		if m == nil {
			return code
		}
		if e, ok := m["error"].(map[string]any); ok {
			code = e["code"].(string)
		}
	}
}

// TestTypist is the dialogue of docs/json.md: a page anyone can type.
func TestTypist(t *testing.T) {
	w := newWorld(t)
	s := w.spawn(Subject, actor.Name("tally"))
	p := w.typist()
	aid := p.join(`,"name":"hand","commands":["add",{"name":"log","ack":false,"doc":"writes a line"}],"pid":17,"language":"fingers"`)

	// It calls.
	p.say(`{"command":"double","target":"tally","args":[21],"ack":"1"}`)
	p.expect(`{"command":"callback","ack":"1","result":42}`)
	p.say(`{"command":"echo","target":"tally","args":[{"a":[1,2.0,1e30,123456789012345678901234567890,{"$bytes":"AQI="},null,"ü"]}],"ack":"1"}`)
	p.expect(`{"command":"callback","ack":"1","result":{"a":[1,2.0,1e+30,123456789012345678901234567890,{"$bytes":"AQI="},null,"ü"]}}`)
	p.say(`{"command":"area","target":"tally","args":[3],"kwargs":{"height":5},"ack":"x"}`)
	p.expect(`{"command":"callback","ack":"x","result":15}`)
	p.say(`{"command":"dubble","target":"tally","ack":"2"}`)
	e := p.await("callback")["error"].(map[string]any)
	if e["code"] != "unknown_command" || e["started"] != false || !strings.Contains(e["message"].(string), `did you mean "double"?`) {
		t.Errorf("an unknown command: %v", e)
	}
	p.say(`{"command":"fail","target":"tally","args":["orders"],"ack":"3"}`)
	p.expect(`{"command":"callback","ack":"3","error":{"code":"app","app":"no_rows","message":"select orders: no such rows","started":true,"target":"tally"}}`)
	p.say(`{"command":"who_asks","target":"tally","ack":"4"}`)
	if r := p.await("callback")["result"].(map[string]any); r["aid"] != aid {
		t.Errorf("who_asks: %v, want %s", r, aid)
	}

	// It is called.
	me := actor.To("hand")
	sum := make(chan error, 1)
	go func() {
		n, err := actor.Call[int](w.ctx, me, "add", 2, 3)
		if err == nil && n != 5 {
			err = fmt.Errorf("the sum is %d", n)
		}
		sum <- err
	}()
	m := p.await("add")
	if m["target"] != "hand" || m["sender"] != "arbiter" || fmt.Sprint(m["args"]) != "[2 3]" || m["timeout"] == nil {
		t.Errorf("it was asked %v", m)
	}
	p.say(`{"command":"callback","ack":%q,"result":5}`, m["ack"])
	if err := <-sum; err != nil {
		t.Error(err)
	}
	go func() {
		_, err := actor.Call[int](w.ctx, me, "add", "x")
		sum <- err
	}()
	m = p.await("add")
	p.say(`{"command":"callback","ack":%q,"error":{"code":"no_numbers","message":"cannot add that"}}`, m["ack"])
	var failed *actor.Error
	if err := <-sum; !errors.As(err, &failed) || failed.Code != actor.App || failed.App != "no_numbers" || failed.Message != "cannot add that" || failed.Started != actor.StartedYes {
		t.Errorf("its error came as %v (%+v)", failed, failed)
	}

	// It is seen, watches, and is stopped.
	info, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, me)
	if err != nil || info.Info.Profile != "json" || info.Info.PID != 17 || info.Info.Language != "fingers" || info.Info.State != "running" || len(info.Commands) < 2 {
		t.Errorf("inspect: %+v, %v", info, err)
	}
	p.say(`{"command":"watch","actor":"tally","ack":"w"}`)
	p.expect(`{"command":"callback","ack":"w","result":null}`)
	if _, err := w.arb.Kill(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	m = p.await("down")
	if m["ack"] != "w" || m["actor"] != s.AID || m["name"] != "tally" || m["death"].(map[string]any)["cause"] != "killed" {
		t.Errorf("down: %v", m)
	}
	ended := make(chan actor.Ended, 1)
	if _, err := actor.Watch(w.ctx, me, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		t.Fatal(err)
	}
	if err := actor.Stop.Send(w.ctx, me, actor.None{}); err != nil {
		t.Fatal(err)
	}
	if m := p.await("stop"); m["target"] != "hand" {
		t.Errorf("the command stop is %v", m)
	}
	p.say(`{"command":"goodbye","death":{"cause":"stopped","reason":"had enough"}}`)
	if e := <-ended; e.Cause != actor.CauseStopped || e.Reason != "had enough" {
		t.Errorf("it ended with %+v", e)
	}
	if p.end(); p.closed != frame.CloseNormal {
		t.Errorf("the close frame says %d %s", p.closed, p.reason)
	}
}

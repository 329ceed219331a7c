package arbiter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
)

var Take = actor.NewCommand[string, any]("take")

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

// TestTypistRefused: whoever cannot say who it is, properly, is told why, as a
// message and by the code of a close frame.
func TestTypistRefused(t *testing.T) {
	w := newWorld(t)
	w.spawn(Subject, actor.Name("tally"))
	hello := func(more string) func(p *typist) {
		return func(p *typist) { p.say(`{"command":"hello","kind":"typist","token":"secret",%s}`, more) }
	}
	for _, test := range []struct {
		name   string
		do     func(p *typist)
		code   actor.Code
		closed frame.CloseCode
	}{
		{"not JSON", func(p *typist) { p.say(`{"command"`) }, "protocol", 1007},
		{"a list", func(p *typist) { p.say(`[]`) }, "protocol", 1007},
		{"not UTF-8", func(p *typist) { p.say("\"\xff\"") }, "protocol", 1007},
		{"a request first", func(p *typist) { p.say(`{"command":"ps","target":"arbiter"}`) }, "protocol", 1008},
		{"a key twice", hello(`"kind":"x"`), "protocol", 1007},
		{"binary in the hello's fragments", func(p *typist) {
			p.write(frame.Header{Opcode: frame.Text, Length: 1}.Append(nil))
			p.write([]byte("{"))
			p.write(frame.AppendFrame(nil, frame.Binary, nil))
		}, "protocol", 1002},
		{"masked", func(p *typist) { p.write([]byte{0x81, 0x82, 0, 0, 0, 0, '{', '}'}) }, "protocol", 1002},
		{"too large", func(p *typist) { hello(`"doc":"` + strings.Repeat("x", 64<<10) + `"`)(p) }, "protocol", 1009},
		{"no token", func(p *typist) { p.say(`{"command":"hello","kind":"typist"}`) }, "refused", 1008},
		{"a wrong token", func(p *typist) { p.say(`{"command":"hello","kind":"typist","token":"guess"}`) }, "refused", 1008},
		{"no kind", func(p *typist) { p.say(`{"command":"hello","token":"secret"}`) }, "invalid", 1008},
		{"a number for a name", hello(`"name":5`), "invalid", 1008},
		{"a name taken", hello(`"name":"tally"`), "exists", 1008},
		{"a bad name", hello(`"name":"a/b"`), "invalid", 1008},
		{"a bad mode", hello(`"mode":"wild"`), "invalid", 1008},
		{"commands that are none", hello(`"commands":[1]`), "invalid", 1008},
		{"version 0", hello(`"version":0`), "invalid", 1008},
		{"deep", hello(`"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)), "invalid", 1008},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := w.typist()
			p.t = t
			test.do(p)
			if code := p.end(); code != string(test.code) || p.closed != test.closed || p.reason == "" {
				t.Errorf("it was told %q and closed with %d %q, want %q and %d", code, p.closed, p.reason, test.code, test.closed)
			}
		})
	}
}

// TestTypistMistakes: what is wrong with one message is answered, and the connection
// goes on; what cannot be answered ends it, with the code that says why.
func TestTypistMistakes(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.MaxMessage = 1 << 20 })
	w.spawn(Subject, actor.Name("tally"))
	for _, test := range []struct {
		name   string
		say    string
		code   actor.Code // what comes back, as the answer to "1" or undelivered
		closed frame.CloseCode
	}{
		{"no target", `{"command":"ps","ack":"1"}`, "invalid", 0},
		{"no target and no ack", `{"command":"ps"}`, "invalid", 0},
		{"nothing", `{}`, "invalid", 0},
		{"nobody", `{"command":"ps","target":"tully","ack":"1"}`, "unknown_actor", 0},
		{"nobody, one way", `{"command":"ps","target":"tully"}`, "unknown_actor", 0},
		{"a target that is no text", `{"command":"ps","target":5,"ack":"1"}`, "invalid", 0},
		{"an ack that is no text", `{"command":"ps","target":"arbiter","ack":1}`, "invalid", 0},
		{"a long ack", `{"command":"ps","target":"arbiter","ack":"` + strings.Repeat("a", 65) + `"}`, "invalid", 0},
		{"args that are no list", `{"command":"double","target":"tally","args":5,"ack":"1"}`, "invalid", 0},
		{"kwargs that are no object", `{"command":"double","target":"tally","kwargs":[],"ack":"1"}`, "invalid", 0},
		{"an unknown form", `{"command":"echo","target":"tally","args":[{"$x":1}],"ack":"1"}`, "invalid", 0},
		{"half a surrogate pair", `{"command":"echo","target":"tally","args":["\ud800"],"ack":"1"}`, "invalid", 0},
		{"a key twice, deep", `{"command":"echo","target":"tally","args":[{"a":1,"a":2}],"ack":"1"}`, "invalid", 0},
		{"a deadline in the past", `{"command":"double","target":"tally","args":[1],"timeout":0,"ack":"1"}`, "invalid", 0},
		{"a parent that never was", `{"command":"double","target":"tally","args":[1],"parent":"x","ack":"1"}`, "invalid", 0},
		{"deep", `{"command":"echo","target":"tally","args":[` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `],"ack":"1"}`, "invalid", 0},
		{"a huge number", `{"command":"echo","target":"tally","args":[` + strings.Repeat("9", 20_000) + `],"ack":"1"}`, "too_large", 0},
		{"larger as bytes than as text", `{"command":"echo","target":"tally","args":[` + strings.Repeat("0e0,", 200_000) + `1],"ack":"1"}`, "too_large", 0},
		{"a watch of nobody", `{"command":"watch","actor":"tully","ack":"1"}`, "unknown_actor", 0},
		{"a watch without an actor", `{"command":"watch","ack":"1"}`, "invalid", 0},
		{"a watch without an ack", `{"command":"watch","actor":"tally"}`, "invalid", 0},

		{"deeper than anybody reads", strings.Repeat("[", 200_000), "", 1007},
		{"garbage", `hello?`, "", 1007},
		{"a key twice", `{"command":"ps","command":"ps"}`, "", 1007},
		{"an answer that was never asked for", `{"command":"callback","ack":"4503599627370497","result":1}`, "", 1008},
		{"an answer to what is no ack", `{"command":"callback","ack":"one","result":1}`, "", 1008},
		{"an answer without an ack", `{"command":"callback","result":1}`, "", 1008},
		{"a second hello", `{"command":"hello","kind":"typist","token":"secret"}`, "", 1008},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := w.typist()
			p.t = t
			aid := p.join("")
			ended := make(chan actor.Ended, 1)
			if _, err := actor.Watch(w.ctx, actor.To(aid), func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
				t.Fatal(err)
			}
			p.say("%s", test.say)
			if test.closed != 0 {
				m := p.next()
				if m == nil || m["command"] != "goodbye" || m["death"].(map[string]any)["cause"] != "protocol" {
					t.Errorf("before the close frame came %v", m)
				}
				if p.end(); p.closed != test.closed || p.reason == "" {
					t.Errorf("closed with %d %q, want %d", p.closed, p.reason, test.closed)
				}
				p.c.Close()
				if e := <-ended; e.Cause != actor.CauseProtocol {
					t.Errorf("it ended with %+v", e)
				}
				return
			}
			m := p.next()
			if m == nil {
				t.Fatalf("closed with %d %q", p.closed, p.reason)
			}
			e, _ := m["error"].(map[string]any)
			answered := m["command"] == "callback" && m["ack"] == "1" || m["command"] == "undelivered" && m["ack"] == nil
			if !answered || e["code"] != string(test.code) || e["started"] != false || strings.Contains(test.say, `"ack":"1"`) != (m["command"] == "callback") {
				t.Errorf("the answer is %v, want %s", m, test.code)
			}
			t.Log(e["message"])
			p.say(`{"command":"double","target":"tally","args":[4],"ack":"1"}`) // the ack is free again
			p.expect(`{"command":"callback","ack":"1","result":8}`)
		})
	}
}

// TestTypistAcks: an ack belongs to one call or watch at a time.
func TestTypistAcks(t *testing.T) {
	w := newWorld(t)
	s := w.spawn(Subject, actor.Name("tally"))
	p := w.typist()
	p.join("")
	// Canceled, it is free at once, and not answered.
	p.say(`{"command":"block","target":"tally","ack":"a"}`)
	p.say(`{"command":"cancel","ack":"a"}`)
	p.say(`{"command":"cancel","ack":"never"}`)
	p.say(`{"command":"ping","target":"tally","ack":"a"}`)
	p.expect(`{"command":"callback","ack":"a","result":"pong"}`)
	// A deadline frees it, too.
	p.say(`{"command":"block","target":"tally","ack":"a","timeout":20.5}`)
	if e := p.await("callback")["error"].(map[string]any); e["code"] != "deadline" {
		t.Errorf("the deadline: %v", e)
	}
	// That of a watch is in use until the end.
	p.say(`{"command":"watch","actor":"tally","ack":"a"}`)
	p.expect(`{"command":"callback","ack":"a","result":null}`)
	p.say(`{"command":"unwatch","ack":"a"}`)
	p.say(`{"command":"watch","actor":"tally","ack":"b"}`)
	p.say(`{"command":"unwatch","ack":"b"}`)
	p.expect(`{"command":"callback","ack":"b","result":null}`)
	p.say(`{"command":"watch","actor":"tally","ack":"a"}`)
	p.expect(`{"command":"callback","ack":"a","result":null}`)
	if _, err := w.arb.Kill(w.ctx, s); err != nil {
		t.Fatal(err)
	}
	if m := p.await("down"); m["ack"] != "a" {
		t.Errorf("down: %v", m)
	}
	w.spawn(Subject, actor.Name("tally"))
	p.say(`{"command":"block","target":"tally","ack":"a"}`)
	p.say(`{"command":"ping","target":"tally","ack":"a"}`)
	if p.end(); p.closed != frame.ClosePolicy || !strings.Contains(p.reason, `"a"`) {
		t.Errorf("a second use of an ack: closed with %d %q", p.closed, p.reason)
	}
}

// TestTypistKilled: who is killed is told so, as far as it reads.
func TestTypistKilled(t *testing.T) {
	w := newWorld(t)
	p := w.typist()
	aid := p.join("")
	if _, err := w.arb.Kill(w.ctx, actor.To(aid)); err != nil {
		t.Fatal(err)
	}
	if m := p.await("goodbye"); m["death"].(map[string]any)["cause"] != "killed" {
		t.Errorf("goodbye: %v", m)
	}
	if p.end(); p.closed != frame.CloseGoingAway {
		t.Errorf("closed with %d %q", p.closed, p.reason)
	}
}

// TestTypistReady: with "ready": false an actor starts when it says so.
func TestTypistReady(t *testing.T) {
	w := newWorld(t)
	p := w.typist()
	aid := p.join(`,"ready":false`)
	state := func() string {
		info, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To(aid))
		if err != nil {
			t.Fatal(err)
		}
		return info.Info.State
	}
	if s := state(); s != "starting" {
		t.Errorf("before its first notify it is %s", s)
	}
	p.say(`{"command":"notify","info":{"inbox":3,"started":7,"since":1500,"handling":"add","extra":{"$x":[1]},"rss":"much"}}`)
	p.say(`{"command":"ping","target":"arbiter","ack":"1"}`)
	p.await("callback")
	info, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To(aid))
	if err != nil || info.Info.State != "running" || info.Info.Inbox != 3 || info.Info.Started != 7 {
		t.Errorf("after it: %+v, %v", info.Info, err)
	}
}

// TestTypistSilent: pings are the heartbeat. Who answers them lives, who does not is
// given up, and half a message is no excuse.
func TestTypistSilent(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = 30*time.Millisecond, 300*time.Millisecond })
	p := w.typist()
	aid := p.join("")
	ended := make(chan actor.Ended, 1)
	if _, err := actor.Watch(w.ctx, actor.To(aid), func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 20; n++ { // twice the timeout
		op, payload, err := p.r.Next()
		if err != nil || op != frame.Ping {
			t.Fatalf("%v, %v, want a ping", op, err)
		}
		p.write(frame.AppendFrame(nil, frame.Pong, payload))
	}
	select {
	case e := <-ended:
		t.Fatalf("it ended with %+v although it answered", e)
	default:
	}
	p.write([]byte{0x81, 100, '{'})
	if e := <-ended; e.Cause != actor.CauseHeartbeat {
		t.Errorf("it ended with %+v", e)
	}
}

// TestTypistDeaf: a peer that does not read is sent no more than a bound, whoever
// floods it is told, and it is given up; what it floods itself is refused or bounded.
func TestTypistDeaf(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = 50*time.Millisecond, 500*time.Millisecond })
	w.spawn(Subject, actor.Name("tally"))
	p := w.typist()
	aid := p.join("")
	ended := make(chan actor.Ended, 1)
	if _, err := actor.Watch(w.ctx, actor.To(aid), func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		t.Fatal(err)
	}
	// It floods, and reads nothing.
	done := make(chan struct{})
	go func() {
		defer close(done)
		text := `{"command":"echo","target":"tally","args":["` + strings.Repeat("x", 60_000) + `"],"ack":"%d"}`
		for n := 0; ; n++ {
			b := frame.AppendFrame(nil, frame.Text, fmt.Appendf(nil, text, n))
			b = frame.AppendFrame(b, frame.Ping, make([]byte, 125))
			if _, err := p.c.Write(b); err != nil {
				return
			}
		}
	}()
	// And it is flooded.
	refused := false
	for n := 0; n < 20_000 && !refused; n++ {
		c := Take.Start(w.ctx, actor.To(aid), strings.Repeat("x", 60_000))
		defer c.Cancel()
		select {
		case <-c.Done():
			_, err := c.Wait()
			refused = isCode(err, actor.Overloaded)
			if !refused && !errors.Is(err, actor.ErrDown) {
				t.Fatalf("a call of who does not read: %v", err)
			}
			if !refused {
				n = 20_000
			}
		default:
		}
	}
	if !refused {
		t.Error("nobody was told that it is overloaded")
	}
	e := <-ended
	t.Log(e.Cause, e.Reason)
	<-done
	if n, err := Double.Call(w.ctx, actor.To("tally"), 4); n != 8 || err != nil {
		t.Errorf("somebody else noticed: %d, %v", n, err)
	}
}

// envTypist has a child of the test be a program that speaks the json profile: over
// the socket it inherits, or, if it says "addr", over one of its own.
const envTypist = "ARBITER_TEST_TYPIST"

// typistChild is that program. It knows one command, and how to stop.
func typistChild() {
	fd, _ := strconv.Atoi(os.Getenv(actor.EnvFD))
	file := os.NewFile(uintptr(fd), "connection")
	c, err := net.FileConn(file)
	file.Close()
	if err == nil && os.Getenv(envTypist) == "addr" {
		defer c.Close() // as a wrapper of the program would keep it
		network, at, _ := strings.Cut(os.Getenv(actor.EnvAddr), ":")
		c, err = net.Dial(network, at)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	say := func(m map[string]any) {
		b, _ := json.Marshal(m)
		_, _ = c.Write(frame.AppendFrame(nil, frame.Text, b))
	}
	hello := map[string]any{"command": "hello", "kind": "child", "mode": "serial", "pid": os.Getpid(), "commands": []string{"settings", "exit"}}
	if token := os.Getenv(actor.EnvToken); token != "" {
		hello["token"] = token
	}
	say(hello)
	frames := frame.NewReader(c, frame.Options{})
	var welcome map[string]any
	for {
		op, payload, err := frames.Next()
		if err != nil {
			os.Exit(0)
		}
		if op == frame.Ping {
			_, _ = c.Write(frame.AppendFrame(nil, frame.Pong, payload))
		}
		var m map[string]any
		_ = json.Unmarshal(payload, &m)
		switch m["command"] {
		case "welcome":
			welcome = m
		case "settings":
			say(map[string]any{"command": "callback", "ack": m["ack"], "result": []any{welcome["grace"], welcome["extra"]}})
		case "exit":
			fmt.Fprintln(os.Stderr, "out of ink")
			os.Exit(3)
		case "stop":
			say(map[string]any{"command": "goodbye", "death": map[string]any{"cause": "stopped", "reason": m["reason"]}})
			os.Exit(0)
		}
	}
}

// TestTypistChild: a program that an arbiter starts may speak the json profile.
func TestTypistChild(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"fd", "addr"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			start := func() actor.Ref {
				t.Helper()
				ref, err := w.arb.SpawnProgram(w.ctx, exe, nil, actor.Env(envTypist+"="+way), actor.Name("child"),
					actor.Grace(2*time.Second), actor.Extra(map[string]any{"ink": "blue", "$x": 1}))
				if err != nil {
					t.Fatal(err)
				}
				return ref
			}
			ref := start()
			got, err := actor.Call[[]any](w.ctx, ref, "settings")
			if fmt.Sprint(got) != "[2000 map[$x:1 ink:blue]]" || err != nil {
				t.Errorf("settings: %v, %v", got, err)
			}
			info, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, ref)
			if err != nil || info.Info.Profile != "json" || info.Info.In != "exec" || info.Info.PID == 0 || info.Info.Mode != "serial" {
				t.Errorf("inspect: %+v, %v", info.Info, err)
			}
			var down *actor.DownError
			if _, err := actor.Call[any](w.ctx, ref, "exit"); !errors.As(err, &down) || down.Cause != actor.CauseExit || down.ExitCode != 3 || len(down.Stderr) == 0 {
				t.Errorf("exit: %v", err)
			}
			d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, start())
			if err != nil || d.Cause != actor.CauseStopped {
				t.Errorf("stop: %+v, %v", d, err)
			}
		})
	}
}

// TestTypistPool: json members are workers like others: what one of them has when it
// is killed fails, the next ones answer.
func TestTypistPool(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	pool, err := actor.Pool(w.ctx, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{In: "exec", Run: []string{exe}, Env: []string{envTypist + "=fd"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := actor.Call[any](w.ctx, pool, "exit"); !errors.Is(err, actor.ErrDown) {
		t.Errorf("exit: %v", err)
	}
	p := w.typist()
	p.join("")
	for n := range 20 {
		p.say(`{"command":"settings","target":"web","ack":"%d"}`, n)
		if m := p.await("callback"); m["error"] != nil {
			t.Errorf("%d: %v", n, m)
		}
	}
}

// TestTypistUncounted: of one who never says how many messages it has handled it is taken
// that those it was sent are, as far as it refused none; so a pool recycles it, too.
func TestTypistUncounted(t *testing.T) {
	w := newWorld(t)
	p := w.typist()
	p.join(`,"name":"hand"`)
	info := func() actor.Info {
		t.Helper()
		i, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To("hand"))
		if err != nil {
			t.Fatal(err)
		}
		return i.Info
	}
	for n := range 3 {
		answered := make(chan error, 1)
		go func() {
			_, err := actor.Call[any](w.ctx, actor.To("hand"), "add", n)
			answered <- err
		}()
		m := p.await("add")
		answer := `"result":1`
		if n == 2 {
			answer = `"error":{"code":"invalid","message":"no","started":false}`
		}
		p.say(`{"command":"callback","ack":%q,`+answer+`}`, m["ack"])
		if err := <-answered; (err != nil) != (n == 2) {
			t.Error(err)
		}
	}
	if i := info(); i.Accepted != 3 || i.Started != 2 {
		t.Errorf("it was sent 3 messages and refused one: %d accepted, %d started", i.Accepted, i.Started)
	}
	p.say(`{"command":"notify","info":{"accepted":9,"started":8}}`)
	p.say(`{"command":"ping","target":"arbiter","ack":"1"}`)
	p.await("callback")
	if i := info(); i.Accepted != 9 || i.Started != 8 {
		t.Errorf("it says 9 and 8 itself: %d accepted, %d started", i.Accepted, i.Started)
	}

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	web, err := actor.Pool(w.ctx, actor.PoolArgs{Name: "web", Workers: 1, Recycle: actor.Recycle{Messages: 5, Jitter: -1},
		Worker: actor.SpawnArgs{In: "exec", Run: []string{exe}, Env: []string{envTypist + "=fd"}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := actor.Call[any](w.ctx, web, "settings"); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 30*time.Second, "a worker that has handled 5 messages was recycled", func() bool {
		list, err := actor.Events.Call(w.ctx, actor.Arbiter, actor.EventsArgs{})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list, func(e actor.Event) bool { return e.Type == "recycling" && strings.Contains(e.Text, "it has handled ") })
	})
}

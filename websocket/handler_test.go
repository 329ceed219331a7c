package websocket_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/websocket"
)

var (
	Double = actor.NewCommand[int, int]("double")
	Kind   = &actor.Kind[actor.None]{Name: "doubler", Handlers: []actor.Handler[actor.None]{
		actor.Handle(Double, func(_ actor.None, _ context.Context, n int) (int, error) { return 2 * n, nil }),
	}}
)

// start starts an arbiter with an actor called "tally", and stops it in the end.
func start(t *testing.T, change ...func(*arbiter.Options)) (*arbiter.Arbiter, context.Context) {
	t.Helper()
	o := arbiter.Options{Name: "test", Token: "secret", Logger: slog.New(slog.DiscardHandler), StopTimeout: 3 * time.Second}
	for _, c := range change {
		c(&o)
	}
	arb, err := arbiter.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(arb.Context(context.Background()), 20*time.Second)
	t.Cleanup(func() { cancel(); _ = arb.Stop(context.Background()) })
	if _, err := arb.Spawn(ctx, Kind, actor.Name("tally")); err != nil {
		t.Fatal(err)
	}
	return arb, ctx
}

// client is a websocket's client, written over the frames alone.
type client struct {
	t *testing.T
	c net.Conn
	r *frame.Reader
}

const key = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455 §1.3, as its answer is

// request sends a handshake to address and returns the answer.
func request(t *testing.T, address string, header ...string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	lines := map[string]string{"Host": address, "Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
	method := "GET"
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "method" {
			method = header[i+1]
			continue
		}
		lines[header[i]] = header[i+1]
	}
	text := method + " /any/path HTTP/1.1\r\n"
	for k, v := range lines {
		if v != "" {
			text += k + ": " + v + "\r\n"
		}
	}
	if _, err := io.WriteString(c, text+"\r\n"); err != nil {
		t.Fatal(err)
	}
	b := bufio.NewReader(c)
	r, err := http.ReadResponse(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, b, r
}

func dial(t *testing.T, address string, header ...string) *client {
	t.Helper()
	c, b, r := request(t, address, header...)
	if r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("the handshake is answered by %s, %v", r.Status, r.Header)
	}
	return &client{t, c, frame.NewReader(b, frame.Options{TextUTF8: true, Limit: 64 << 20})}
}

// send writes one masked frame.
func (c *client) send(fin bool, op frame.Opcode, text string) {
	c.t.Helper()
	h := frame.Header{Fin: fin, Opcode: op, Masked: true, Mask: [4]byte{1, 2, 3, 4}, Length: uint64(len(text))}
	b := []byte(text)
	frame.Mask(h.Mask, 0, b)
	if _, err := c.c.Write(append(h.Append(nil), b...)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) say(format string, args ...any) {
	c.t.Helper()
	c.send(true, frame.Text, fmt.Sprintf(format, args...))
}

// next returns the next message; it answers pings. A close frame is an error.
func (c *client) next() (map[string]any, error) {
	for {
		op, payload, err := c.r.Next()
		if err != nil {
			return nil, err
		}
		switch op {
		case frame.Ping:
			c.send(true, frame.Pong, string(payload))
		case frame.Pong:
			return map[string]any{"command": "pong", "payload": string(payload)}, nil
		case frame.Close:
			code, reason, err := frame.ParseClose(payload)
			if err != nil {
				return nil, err
			}
			return nil, &closedError{code, reason}
		case frame.Text:
			var m map[string]any
			return m, json.Unmarshal(payload, &m)
		}
	}
}

type closedError struct {
	code   frame.CloseCode
	reason string
}

func (e *closedError) Error() string { return fmt.Sprintf("closed with %d %s", e.code, e.reason) }

func (c *client) await(command string) map[string]any {
	c.t.Helper()
	for {
		m, err := c.next()
		if err != nil {
			c.t.Fatalf("%v, before a %s came", err, command)
		}
		if m["command"] == command {
			return m
		}
	}
}

// closing reads to the close frame.
func (c *client) closing() (code frame.CloseCode, told string) {
	c.t.Helper()
	for {
		m, err := c.next()
		var e *closedError
		if errors.As(err, &e) {
			return e.code, told
		}
		if err != nil {
			c.t.Fatalf("%v, before a close frame came", err)
		}
		if e, ok := m["error"].(map[string]any); ok {
			told, _ = e["code"].(string)
		}
	}
}

// dialogue has a client call and be called.
func dialogue(t *testing.T, ctx context.Context, c *client, name string) {
	t.Helper()
	c.say(`{"command":"hello","kind":"page","name":%q,"token":"secret","commands":["greet"]}`, name)
	c.await("welcome")
	c.say(`{"command":"double","target":"tally","args":[21],"ack":"1"}`)
	if m := c.await("callback"); m["result"] != 42.0 {
		t.Errorf("double: %v", m)
	}
	done := make(chan error, 1)
	go func() {
		text, err := actor.Call[string](ctx, actor.To(name), "greet", "you")
		if err == nil && text != "hello you" {
			err = fmt.Errorf("it said %q", text)
		}
		done <- err
	}()
	m := c.await("greet")
	c.say(`{"command":"callback","ack":%q,"result":"hello you"}`, m["ack"])
	if err := <-done; err != nil {
		t.Error(err)
	}
	info, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(name))
	if err != nil || info.Info.Profile != "json" {
		t.Errorf("inspect: %+v, %v", info, err)
	}
}

// A page mounted in a server of the program's own, and one at the arbiter's listener.
func TestWebsocket(t *testing.T) {
	t.Run("handler", func(t *testing.T) {
		arb, ctx := start(t)
		s := httptest.NewServer(websocket.New(arb, websocket.Options{}))
		defer s.Close()
		address := s.Listener.Addr().String()
		c := dial(t, address, "Origin", "http://"+address)
		dialogue(t, ctx, c, "page")
		// The client closes: its actor ends, and its frame is answered.
		ended := make(chan actor.Ended, 1)
		if _, err := actor.Watch(ctx, actor.To("page"), func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
			t.Fatal(err)
		}
		c.send(true, frame.Close, string(frame.AppendClose(nil, 1001, "the page is left")))
		if code, _ := c.closing(); code != 1001 {
			t.Errorf("the close frame was answered with %d", code)
		}
		<-ended
	})
	t.Run("listener", func(t *testing.T) {
		arb, ctx := start(t, func(o *arbiter.Options) { o.Listen, o.HTTP = "127.0.0.1:0", websocket.Serve })
		address := strings.TrimPrefix(arb.Addresses()[0], "tcp:")
		dialogue(t, ctx, dial(t, address), "page")
		// The others come there as before.
		m := actor.NewMember("tcp:"+address, Kind, actor.JoinOptions{Token: "secret", Logger: slog.New(slog.DiscardHandler)})
		defer m.Close()
		if n, err := Double.Call(m.Context(ctx), actor.To("tally"), 4); n != 8 || err != nil {
			t.Errorf("a native member: %d, %v", n, err)
		}
	})
}

// Who may not connect is told so before the handshake.
func TestHandshakeRefused(t *testing.T) {
	arb, _ := start(t)
	s := httptest.NewServer(websocket.New(arb, websocket.Options{Origins: []string{"https://friend.example"}}))
	defer s.Close()
	listening, _ := start(t, func(o *arbiter.Options) { o.Listen, o.HTTP = "127.0.0.1:0", websocket.Serve })
	for _, test := range []struct {
		name   string
		header []string
		status int
	}{
		{"a foreign page", []string{"Origin", "https://evil.example"}, 403},
		{"a page of no origin", []string{"Origin", "null"}, 403},
		{"a browser's tab", []string{"Connection", "keep-alive", "Upgrade", ""}, 426},
		{"an old version", []string{"Sec-WebSocket-Version", "8"}, 426},
		{"no key", []string{"Sec-WebSocket-Key", ""}, 400},
		{"a short key", []string{"Sec-WebSocket-Key", "AAAA"}, 400},
		{"POST", []string{"method", "POST"}, 405},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, r := request(t, s.Listener.Addr().String(), test.header...)
			if r.StatusCode != test.status {
				t.Errorf("the handler answers %s, want %d", r.Status, test.status)
			}
			if test.name == "POST" {
				return // a listener knows GET alone
			}
			_, b, r := request(t, strings.TrimPrefix(listening.Addresses()[0], "tcp:"), test.header...)
			if r.StatusCode != test.status {
				t.Errorf("the listener answers %s, want %d", r.Status, test.status)
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Error(err)
			}
			if _, err := b.ReadByte(); err != io.EOF {
				t.Errorf("the listener leaves the connection open: %v", err)
			}
		})
	}
	dial(t, s.Listener.Addr().String(), "Origin", "https://friend.example")
}

// The hello of a websocket is asked for the token.
func TestToken(t *testing.T) {
	with, _ := start(t)
	without, _ := start(t, func(o *arbiter.Options) { o.Token = "" })
	for _, test := range []struct {
		name  string
		arb   *arbiter.Arbiter
		o     websocket.Options
		token string
		in    bool
	}{
		{"right", with, websocket.Options{}, "secret", true},
		{"wrong", with, websocket.Options{}, "guess", false},
		{"none", with, websocket.Options{}, "", false},
		{"none there", without, websocket.Options{}, "", false},
		{"open", without, websocket.Options{Open: true}, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(websocket.New(test.arb, test.o))
			defer s.Close()
			c := dial(t, s.Listener.Addr().String())
			c.say(`{"command":"hello","kind":"page","token":%q}`, test.token)
			if test.in {
				c.await("welcome")
				return
			}
			if code, told := c.closing(); code != frame.ClosePolicy || told != "refused" {
				t.Errorf("it was told %q and closed with %d", told, code)
			}
		})
	}
}

// What a websocket's client may not do ends with the code that says so.
func TestViolations(t *testing.T) {
	arb, ctx := start(t, func(o *arbiter.Options) { o.MaxMessage = 1 << 16 })
	s := httptest.NewServer(websocket.New(arb, websocket.Options{}))
	defer s.Close()
	for _, test := range []struct {
		name string
		do   func(c *client)
		code frame.CloseCode
	}{
		{"unmasked", func(c *client) { _, _ = c.c.Write(frame.AppendFrame(nil, frame.Text, []byte("{}"))) }, 1002},
		{"a reserved bit", func(c *client) { _, _ = c.c.Write([]byte{0xc1, 0x80, 0, 0, 0, 0}) }, 1002},
		{"binary", func(c *client) { c.send(true, frame.Binary, "x") }, 1003},
		{"not UTF-8", func(c *client) { c.say("{\"a\":\"\xff\"}") }, 1007},
		{"not UTF-8 in a fragment", func(c *client) { c.send(false, frame.Text, "{\"a\":\"\xff") }, 1007},
		{"not JSON", func(c *client) { c.say("{") }, 1007},
		{"too large", func(c *client) { c.say(`{"a":"%s"}`, strings.Repeat("x", 1<<16)) }, 1009},
		{"a second hello", func(c *client) { c.say(`{"command":"hello","kind":"page"}`) }, 1008},
		{"a callback to nobody", func(c *client) { c.say(`{"command":"callback","ack":"77777777"}`) }, 1008},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, s.Listener.Addr().String())
			c.say(`{"command":"hello","kind":"page","name":"page","token":"secret"}`)
			c.await("welcome")
			ended := make(chan actor.Ended, 1)
			if _, err := actor.Watch(ctx, actor.To("page"), func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
				t.Fatal(err)
			}
			test.do(c)
			if code, _ := c.closing(); code != test.code {
				t.Errorf("it was closed with %d, want %d", code, test.code)
			}
			c.c.Close()
			if e := <-ended; e.Cause != actor.CauseProtocol {
				t.Errorf("it ended with %+v", e)
			}
		})
	}
}

// Messages may come in fragments, with pings between them, which are answered.
func TestFragments(t *testing.T) {
	arb, _ := start(t)
	s := httptest.NewServer(websocket.New(arb, websocket.Options{}))
	defer s.Close()
	c := dial(t, s.Listener.Addr().String())
	c.send(false, frame.Text, `{"command":"hello",`)
	c.send(false, frame.Continuation, `"kind":"page",`)
	c.send(true, frame.Continuation, `"token":"secret"}`)
	c.await("welcome")
	c.send(false, frame.Text, `{"command":"double","target":"tally",`)
	c.send(true, frame.Ping, "are you there?")
	if m := c.await("pong"); m["payload"] != "are you there?" {
		t.Errorf("the pong is %v", m)
	}
	c.send(true, frame.Continuation, `"args":[4],"ack":"1"}`)
	if m := c.await("callback"); m["result"] != 8.0 {
		t.Errorf("double: %v", m)
	}
}

// A request that does not come is not waited for.
func TestSlowRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		began := time.Now()
		go func() { _, _ = io.WriteString(theirs, "GET / HTTP/1.1\r\nHost: ") }()
		websocket.New(nil, websocket.Options{}).ServeConn(ours)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it was waited for %v", took)
		}
	})
}

// A client that nobody of us wrote.
func TestNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: no client of another hand was tried")
	}
	script := `
const ws = new WebSocket(process.argv[1])
const say = m => ws.send(JSON.stringify(m))
ws.onopen = () => say({command: 'hello', kind: 'page', name: 'node', token: 'secret', commands: ['greet']})
ws.onmessage = e => {
  const m = JSON.parse(e.data)
  if (m.command === 'welcome') say({command: 'double', target: 'tally', args: [21], ack: '1'})
  else if (m.command === 'callback') { console.log('result', m.result) }
  else if (m.command === 'greet') say({command: 'callback', ack: m.ack, result: 'hello ' + m.args[0]})
  else if (m.command === 'stop') ws.close(1000)
}
ws.onclose = e => console.log('closed', e.code, e.wasClean)
`
	if err := exec.Command(node, "--experimental-websocket", "-e", "if (!globalThis.WebSocket) process.exit(1)").Run(); err != nil {
		t.Skipf("this node has no WebSocket (%v): no client of another hand was tried", err)
	}
	arb, ctx := start(t)
	s := httptest.NewServer(websocket.New(arb, websocket.Options{}))
	defer s.Close()
	cmd := exec.CommandContext(ctx, node, "--experimental-websocket", "-e", script, "ws://"+s.Listener.Addr().String()+"/")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	lines := bufio.NewScanner(out)
	if lines.Scan(); lines.Text() != "result 42" {
		t.Fatalf("node says %q", lines.Text())
	}
	if text, err := actor.Call[string](ctx, actor.To("node"), "greet", "node"); text != "hello node" || err != nil {
		t.Errorf("greet: %q, %v", text, err)
	}
	if err := actor.Stop.Send(ctx, actor.To("node"), actor.None{}); err != nil {
		t.Fatal(err)
	}
	if lines.Scan(); lines.Text() != "closed 1000 true" {
		t.Errorf("node says %q at the end", lines.Text())
	}
}

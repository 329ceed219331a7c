package websocket_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// mate is a client of a profile, which has joined.
type mate interface {
	socket() net.Conn
	// request returns what goes before and behind an argument that is to be echoed.
	request() (before, behind string)
	masks() bool
	// next returns what comes next, as turns want it; an echo without its "echo ".
	next() (kind, payload string)
}

// jsonMate is of the json profile.
type jsonMate struct {
	*client
	mask bool
	acks int
}

func joinJSON(t *testing.T, address string, masked bool) mate {
	m := &jsonMate{mask: masked}
	if masked {
		m.client = dial(t, address)
	} else {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		m.client = &client{t, c, frame.NewReader(c, frame.Options{TextUTF8: true, Limit: 64 << 20})}
	}
	hello := text("").frames(`{"command":"hello","kind":"page","token":"secret"}`, masked)
	if _, err := m.c.Write(hello); err != nil {
		t.Fatal(err)
	}
	m.await("welcome")
	return m
}

func (m *jsonMate) socket() net.Conn { return m.c }
func (m *jsonMate) masks() bool      { return m.mask }

func (m *jsonMate) request() (before, behind string) {
	m.acks++
	return fmt.Sprintf(`{"command":"echo","target":"tally","ack":"%04d","args":["`, m.acks), `"]}`
}

func (m *jsonMate) next() (kind, payload string) {
	m.t.Helper()
	for {
		op, b, err := m.r.Next()
		if err != nil {
			m.t.Fatalf("%v, before a close frame came", err)
		}
		switch op {
		case frame.Pong:
			return "pong", string(b)
		case frame.Close:
			code, reason, err := frame.ParseClose(b)
			if err != nil {
				m.t.Fatalf("the arbiter closes with %q: %v", b, err)
			}
			if reason != "" {
				m.t.Logf("closed with %d %s", code, reason)
			}
			if _, _, err := m.r.Next(); err == nil {
				m.t.Fatal("something comes after the close frame")
			}
			return "end", fmt.Sprint(code)
		case frame.Text:
			var a struct {
				Command, Result string
				Error           json.RawMessage
			}
			if err := json.Unmarshal(b, &a); err != nil || a.Error != nil {
				m.t.Fatalf("%v: %.200s", err, b)
			}
			if a.Command == "callback" {
				return "echo", a.Result
			}
		}
	}
}

// nativeMate is of the native profile.
type nativeMate struct {
	t  *testing.T
	c  net.Conn
	r  *frame.Reader
	id uint64
}

func joinNative(t *testing.T, address string) mate {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	m := &nativeMate{t, c, frame.NewReader(c, frame.Options{Limit: 64 << 20}), 0}
	h := &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "raw", Token: "secret", Inbox: wire.Window{Messages: 1000, Bytes: 64 << 20}}
	hello, err := h.Message()
	if err != nil {
		t.Fatal(err)
	}
	notify := wire.Message{Kind: wire.KindNotify}
	b := frame.AppendFrame(nil, frame.Binary, hello.Append(nil))
	if _, err := c.Write(frame.AppendFrame(b, frame.Binary, notify.Append(nil))); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *nativeMate) socket() net.Conn { return m.c }
func (m *nativeMate) masks() bool      { return false }

func (m *nativeMate) request() (before, behind string) {
	m.id++
	r := wire.Message{Kind: wire.KindRequest, ID: m.id, Target: []byte("tally"), Command: []byte("echo"), Codec: wire.CodecRaw}
	return string(r.Append(nil)), ""
}

func (m *nativeMate) next() (kind, payload string) {
	m.t.Helper()
	for {
		op, b, err := m.r.Next()
		// What the case sends behind its close frame is not read: then TCP ends with a reset.
		if err == io.EOF || errors.Is(err, syscall.ECONNRESET) {
			return "end", ""
		}
		if err != nil {
			m.t.Fatal(err)
		}
		var a wire.Message
		if op != frame.Binary {
			m.t.Fatalf("a %s frame", op)
		} else if err := a.Parse(bytes.Clone(b)); err != nil {
			m.t.Fatal(err)
		}
		switch a.Kind {
		case wire.KindReply:
			return "echo", string(a.Body)
		case wire.KindError:
			m.t.Fatal(wire.ParseError(&a))
		case wire.KindGoodbye:
			d := wire.ParseDeath(&a)
			m.t.Log(d)
			if _, _, err := m.r.Next(); err == nil {
				m.t.Fatal("something comes after the goodbye")
			}
			return "end", string(d.Cause)
		}
	}
}

package oracles

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/arbiter-go/arbiter/internal/frame"
)

// againstCoder has both read b, as a server does. They do not look whether text is
// UTF-8, answer a close frame themselves and stop there, and keep to the limit only as
// bytes arrive: it is out of the way here.
func againstCoder(t *testing.T, name string, b []byte) {
	t.Helper()
	b = comparable(b)
	list, end := ours(b, frame.Options{Masking: frame.MaskRequired, Limit: 1 << 30, Fragments: true})
	if i := slices.IndexFunc(list, func(e string) bool { return strings.HasPrefix(e, "8 ") }); i >= 0 {
		list, end = list[:i], "close"
	}
	theirs, their := coder(t, b)
	if their == over && (end == over || end == "1009") {
		their = end
		// A stream that ends between a header and its payload, or between two fragments,
		// is to them the end of the message, too.
		if n := len(list); len(theirs) == n+1 && (theirs[n][0] == '1' || theirs[n][0] == '2') {
			theirs = theirs[:n]
		}
	}
	if !slices.Equal(list, theirs) || end != their {
		t.Errorf("%s: %x\nwe read   %s, then %s\nthey read %s, then %s", name, b[:min(len(b), 200)], short(list), end, short(theirs), their)
	}
}

func coder(t *testing.T, b []byte) (list []string, end string) {
	stream := &memory{in: bytes.NewReader(b)}
	r, err := http.NewRequest("GET", "http://localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(k, v)
	}
	c, err := websocket.Accept(stream, r, &websocket.AcceptOptions{
		OnPingReceived: func(_ context.Context, p []byte) bool { list = append(list, event(byte(frame.Ping), p)); return false },
		OnPongReceived: func(_ context.Context, p []byte) { list = append(list, event(byte(frame.Pong), p)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		kind, payload, err := c.Read(context.Background())
		if err == nil {
			list = append(list, event(byte(kind), payload))
			continue
		}
		switch text := err.Error(); {
		case strings.Contains(text, "received close frame"), strings.Contains(text, "invalid close payload"):
			return list, "close"
		case strings.Contains(text, "previous message not read to completion"):
			return list, over // see againstCoder
		case strings.Contains(text, "EOF"):
			return list, over
		case strings.Contains(text, "received"):
			return list, "1002"
		default:
			t.Fatalf("they say %v", err)
		}
	}
}

// memory is a response that can be taken over, and the connection then.
type memory struct {
	in     io.Reader
	header http.Header
}

func (m *memory) Header() http.Header {
	if m.header == nil {
		m.header = make(http.Header)
	}
	return m.header
}
func (m *memory) WriteHeader(int) {}
func (m *memory) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return m, bufio.NewReadWriter(bufio.NewReader(m), bufio.NewWriter(m)), nil
}
func (m *memory) Read(b []byte) (int, error)       { return m.in.Read(b) }
func (m *memory) Write(b []byte) (int, error)      { return len(b), nil }
func (m *memory) Close() error                     { return nil }
func (m *memory) LocalAddr() net.Addr              { return nil }
func (m *memory) RemoteAddr() net.Addr             { return nil }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

func FuzzCoder(f *testing.F) {
	for _, s := range []string{
		"\x81\x81\x01\x02\x03\x04\x05", "\x01\x81\x01\x02\x03\x04\x05\x89\x80\x01\x02\x03\x04\x80\x80\x00\x00\x00\x00",
		"\x88\x82\x00\x00\x00\x00\x03\xe8", "\x80\x80\x00\x00\x00\x00", "\xc1\x80\x00\x00\x00\x00", "\x81\x00", "\x83\x80\x00\x00\x00\x00",
		"\x02\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { againstCoder(t, "this", b) })
}

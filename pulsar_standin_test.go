package arbiter_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// The stand-in plays a real actor of pulsar by what such actors were seen to send: it
// replays captured frames, in which at most a text is replaced, and knows nothing of
// internal/pickle. It is as intolerant as they are.

// captured returns the frames captured from real actors, by name.
var captured = sync.OnceValues(func() (map[string][]byte, error) {
	f, err := os.Open("internal/pickle/testdata/frames.tar.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	frames := make(map[string][]byte)
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return nil, err
		}
		if frames[h.Name], err = io.ReadAll(files); err != nil {
			return nil, err
		}
	}
})

// version is which pulsar a stand-in plays.
type version string

const (
	v164 version = "v164"
	v202 version = "v202"
)

// frame returns the captured frame whose name has the scenario and direction given,
// such as "ping_up_cb".
func (v version) frame(t testing.TB, name string) []byte {
	t.Helper()
	frames, err := captured()
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range frames {
		if dir, rest, _ := strings.Cut(file, "/"); dir == string(v) && len(rest) > 5 && rest[5:] == name+".bin" {
			return b
		}
	}
	t.Fatalf("no frame %s/%s", v, name)
	return nil
}

// payloadOf returns what is in a frame.
func payloadOf(frame []byte) []byte {
	switch frame[1] {
	case 126:
		return frame[4:]
	case 127:
		return frame[10:]
	}
	return frame[2:]
}

// framed puts payload into a frame as pulsar does.
func framed(payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		return append([]byte{0x82, byte(n)}, payload...)
	case n < 1<<16:
		return append(binary.BigEndian.AppendUint16([]byte{0x82, 126}, uint16(n)), payload...)
	default:
		return append(binary.BigEndian.AppendUint64([]byte{0x82, 127}, uint64(n)), payload...)
	}
}

func pickledText(s string) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{'X'}, uint32(len(s))), s...)
}

// with returns a captured frame with each text old replaced by the new one after it.
func with(t testing.TB, frame []byte, texts ...string) []byte {
	t.Helper()
	payload := payloadOf(frame)
	for i := 0; i < len(texts); i += 2 {
		if !bytes.Contains(payload, pickledText(texts[i])) {
			t.Fatalf("the frame does not have the text %q", texts[i])
		}
		payload = bytes.ReplaceAll(payload, pickledText(texts[i]), pickledText(texts[i+1]))
	}
	return framed(payload)
}

// ackIn returns the ack of a captured frame, "" if it has none.
func ackIn(frame []byte) string {
	payload := payloadOf(frame)
	at := bytes.LastIndex(payload, pickledText("ack"))
	if at < 0 {
		return ""
	}
	rest := payload[at+len(pickledText("ack")):]
	rest = rest[2:] // BINPUT
	n := binary.LittleEndian.Uint32(rest[1:])
	return string(rest[5 : 5+n])
}

// standin is one actor.
type standin struct {
	t       testing.TB
	v       version
	aid     string
	conn    net.Conn
	said    chan map[string]any // requests and callbacks that came
	ended   chan struct{}       // closed when its life is over
	why     string              // set before
	waiting map[string]bool     // acks it waits for; guarded by mu
	mu      sync.Mutex
	raw     [][]byte // what came, as it came; guarded by mu
	answer  func(s *standin, m map[string]any) []byte

	stubborn bool // a stop is not the end of it: its hooks take long
}

// pong answers as captured actors answer ping, and what else is asked for by name.
func pong(s *standin, m map[string]any) []byte {
	ack, _ := m["ack"].(string)
	switch m["command"] {
	case "ping":
		f := s.v.frame(s.t, "ping_up_cb")
		return with(s.t, f, ackIn(f), ack)
	case "run":
		f := s.v.frame(s.t, "run_up_cb") // 4
		return with(s.t, f, ackIn(f), ack)
	case "boom":
		f := s.v.frame(s.t, "run_boom_up_cb") // None
		return with(s.t, f, ackIn(f), ack)
	case "exception":
		f := s.v.frame(s.t, "run_ret_exception_value_up_cb")
		return with(s.t, f, ackIn(f), ack)
	}
	return nil
}

// dialPulsar connects a stand-in to the pulsar listener of arb.
func dialPulsar(t *testing.T, at string, v version, aid string) *standin {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(at, "pulsar:"))
	if err != nil {
		t.Fatal(err)
	}
	s := &standin{t: t, v: v, aid: aid, conn: c, said: make(chan map[string]any, 4096), ended: make(chan struct{}), waiting: make(map[string]bool), answer: pong}
	go s.run()
	t.Cleanup(func() { c.Close(); <-s.ended })
	return s
}

// send sends a frame as it is, and notes what it waits for.
func (s *standin) send(frame []byte) {
	s.t.Helper()
	if ack := ackIn(frame); ack != "" {
		s.mu.Lock()
		s.waiting[ack] = true
		s.mu.Unlock()
	}
	if _, err := s.conn.Write(frame); err != nil {
		s.t.Logf("%s: %v", s.aid, err)
	}
}

// notify sends the captured first notify of alpha001 or beta0002, as who it is.
func (s *standin) notify() {
	s.t.Helper()
	f := s.v.frame(s.t, "handshake_process_up_notify")
	s.send(with(s.t, f, "alpha001", s.aid))
}

// next returns what came next.
func (s *standin) next() map[string]any {
	s.t.Helper()
	select {
	case m := <-s.said:
		return m
	case <-s.ended:
		select {
		case m := <-s.said:
			return m
		default:
		}
		s.t.Fatalf("%s ended: %s", s.aid, s.why)
	case <-time.After(20 * time.Second):
		s.t.Fatalf("%s: nothing came", s.aid)
	}
	return nil
}

// callback returns the result of the callback that comes next.
func (s *standin) callback() any {
	s.t.Helper()
	m := s.next()
	if m["command"] != "callback" {
		s.t.Fatalf("%s: want a callback, got %v", s.aid, m)
	}
	return m["result"]
}

func (s *standin) run() {
	defer close(s.ended)
	defer s.conn.Close()
	s.why = s.read().Error()
}

// read is the mailbox. What a real one does not bear ends it.
func (s *standin) read() error {
	head := make([]byte, 2)
	for {
		if _, err := io.ReadFull(s.conn, head); err != nil {
			return err
		}
		if head[0] != 0x82 {
			return fmt.Errorf("a frame that begins with %#x, which is fed to pickle.loads", head[0])
		}
		if head[1]&0x80 != 0 {
			return fmt.Errorf("a masked frame")
		}
		n := uint64(head[1])
		switch n {
		case 126:
			var b [2]byte
			if _, err := io.ReadFull(s.conn, b[:]); err != nil {
				return err
			}
			if n = uint64(binary.BigEndian.Uint16(b[:])); n < 126 {
				return fmt.Errorf("a length that is not minimal")
			}
		case 127:
			var b [8]byte
			if _, err := io.ReadFull(s.conn, b[:]); err != nil {
				return err
			}
			if n = binary.BigEndian.Uint64(b[:]); n < 1<<16 {
				return fmt.Errorf("a length that is not minimal")
			}
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(s.conn, payload); err != nil {
			return err
		}
		s.mu.Lock()
		s.raw = append(s.raw, payload)
		s.mu.Unlock()
		v, err := unpickle(payload)
		if err != nil {
			return err
		}
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("a message that is %T", v)
		}
		ack, _ := m["ack"].(string)
		if m["command"] == "callback" {
			s.mu.Lock()
			known := s.waiting[ack]
			delete(s.waiting, ack)
			s.mu.Unlock()
			if !known {
				return fmt.Errorf("a callback to %q, which nobody waits for: KeyError", ack)
			}
			s.said <- m
			continue
		}
		for _, key := range []string{"id", "sender", "target", "args", "kwargs"} {
			if _, ok := m[key]; !ok {
				return fmt.Errorf("a request without %s: KeyError", key)
			}
		}
		if _, ok := m["args"].(tuple); !ok {
			return fmt.Errorf("args are a %T", m["args"])
		}
		s.said <- m
		if m["command"] == "stop" && !s.stubborn {
			return fmt.Errorf("it was asked to stop")
		}
		if answer := s.answer(s, m); answer != nil && ack != "" {
			if _, err := s.conn.Write(answer); err != nil {
				return err
			}
		}
	}
}

// What unpickle makes of Python's values.
type (
	tuple  []any
	list   struct{ items []any }
	global struct{ module, name string }
	called struct {
		what  any
		args  tuple
		state any
	}
	mark struct{}
)

// envStandin makes the test binary a stand-in, in a process of its own. Its arguments
// are HOST PORT AID NAME.
const envStandin = "TEST_PULSAR_STANDIN"

// alone is the testing.TB of such a process.
type alone struct{ testing.TB }

func (alone) Helper()                   {}
func (alone) Logf(string, ...any)       {}
func (alone) Fatalf(f string, a ...any) { fmt.Fprintf(os.Stderr, f+"\n", a...); os.Exit(3) }
func (alone) Fatal(a ...any)            { fmt.Fprintln(os.Stderr, a...); os.Exit(3) }

func beStandin() {
	args := os.Args[len(os.Args)-4:]
	c, err := net.Dial("tcp", net.JoinHostPort(args[0], args[1]))
	if err != nil {
		alone{}.Fatal(err)
	}
	s := &standin{t: alone{}, v: v202, aid: args[2], conn: c, said: make(chan map[string]any, 4096), ended: make(chan struct{}), waiting: make(map[string]bool), answer: pong}
	s.notify()
	s.run()
	os.Exit(0)
}

// unpickle reads a pickle of protocol 2, as far as the messages of these tests need it:
// a second reader, that agrees with the first or not.
func unpickle(b []byte) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a pickle that cannot be read: %v", p)
		}
	}()
	if len(b) < 2 || b[0] != 0x80 || b[1] != 2 {
		return nil, fmt.Errorf("not a pickle of protocol 2: %x", b[:min(8, len(b))])
	}
	var stack []any
	memo := map[uint32]any{}
	pop := func() any { v := stack[len(stack)-1]; stack = stack[:len(stack)-1]; return v }
	marked := func() []any {
		at := len(stack) - 1
		for stack[at] != (mark{}) {
			at--
		}
		items := append([]any(nil), stack[at+1:]...)
		stack = stack[:at]
		return items
	}
	line := func(at int) (string, int) {
		n := bytes.IndexByte(b[at:], '\n')
		return string(b[at : at+n]), at + n + 1
	}
	for i := 2; ; {
		op := b[i]
		i++
		switch op {
		case '.':
			if len(stack) != 1 || i != len(b) {
				return nil, fmt.Errorf("%d values, %d bytes left over", len(stack), len(b)-i)
			}
			return stack[0], nil
		case 'N':
			stack = append(stack, nil)
		case 0x88, 0x89:
			stack = append(stack, op == 0x88)
		case 'K':
			stack = append(stack, int64(b[i]))
			i++
		case 'M':
			stack = append(stack, int64(binary.LittleEndian.Uint16(b[i:])))
			i += 2
		case 'J':
			stack = append(stack, int64(int32(binary.LittleEndian.Uint32(b[i:]))))
			i += 4
		case 0x8a:
			n := int(b[i])
			le := append([]byte(nil), b[i+1:i+1+n]...)
			i += 1 + n
			be := make([]byte, n)
			for k := range le {
				be[n-1-k] = le[k]
			}
			x := new(big.Int).SetBytes(be)
			if n > 0 && be[0]&0x80 != 0 {
				x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
			}
			stack = append(stack, x)
		case 'G':
			stack = append(stack, binary.BigEndian.Uint64(b[i:]))
			i += 8
		case 'X':
			n := int(binary.LittleEndian.Uint32(b[i:]))
			stack = append(stack, string(b[i+4:i+4+n]))
			i += 4 + n
		case 'q':
			memo[uint32(b[i])] = stack[len(stack)-1]
			i++
		case 'r':
			memo[binary.LittleEndian.Uint32(b[i:])] = stack[len(stack)-1]
			i += 4
		case 'h':
			stack = append(stack, memo[uint32(b[i])])
			i++
		case 'j':
			stack = append(stack, memo[binary.LittleEndian.Uint32(b[i:])])
			i += 4
		case '(':
			stack = append(stack, mark{})
		case ')':
			stack = append(stack, tuple{})
		case 0x85, 0x86, 0x87:
			n := len(stack) - int(op-0x84)
			stack = append(stack[:n:n], tuple(append([]any(nil), stack[n:]...)))
		case 't':
			stack = append(stack, tuple(marked()))
		case ']':
			stack = append(stack, &list{})
		case 'a':
			v := pop()
			l := stack[len(stack)-1].(*list)
			l.items = append(l.items, v)
		case 'e':
			items := marked()
			l := stack[len(stack)-1].(*list)
			l.items = append(l.items, items...)
		case '}':
			stack = append(stack, map[string]any{})
		case 's':
			v, k := pop(), pop()
			stack[len(stack)-1].(map[string]any)[k.(string)] = v
		case 'u':
			items := marked()
			d := stack[len(stack)-1].(map[string]any)
			for k := 0; k < len(items); k += 2 {
				d[items[k].(string)] = items[k+1]
			}
		case 'c':
			var g global
			g.module, i = line(i)
			g.name, i = line(i)
			stack = append(stack, g)
		case 'R', 0x81:
			args, what := pop().(tuple), pop()
			stack = append(stack, &called{what: what, args: args})
		case 'b':
			state := pop()
			stack[len(stack)-1].(*called).state = state
		default:
			return nil, fmt.Errorf("an opcode %#x at %d", op, i-1)
		}
	}
}

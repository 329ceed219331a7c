//go:build unix

package conformance

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a step of a dialogue may take. What is expected comes at
// once; this bounds what does not.
const patience = 20 * time.Second

// dialogue is what an arbiter says to a worker, and what is to come back.
type dialogue struct {
	Name     string         `json:"name"`
	Basic    bool           `json:"basic"`
	More     bool           `json:"more"` // with -matrix only: the unit tests of each SDK have the like of it
	Variant  string         `json:"variant"`
	Prelude  *bool          `json:"prelude"`  // default true: hello, welcome, ready
	Settings map[string]any `json:"settings"` // from birth
	Grace    int64          `json:"grace"`    // milliseconds
	Silence  int            `json:"silence"`  // milliseconds
	TCP      bool           `json:"tcp"`      // as from elsewhere; otherwise by a unix socket
	Steps    []step         `json:"steps"`
}

// step is one of these.
type step struct {
	Send      any     `json:"send"`      // a message
	Together  []any   `json:"together"`  // messages in one write
	Dribble   any     `json:"dribble"`   // a message, a byte a write
	Fragments any     `json:"fragments"` // a message in fragments, cut at Cut, with a ping after each but the last
	Cut       []int   `json:"cut"`
	Text      string  `json:"text"`    // a text frame
	Raw       string  `json:"raw"`     // bytes, in hexadecimal
	Ping      *string `json:"ping"`    // a ping
	HangUp    bool    `json:"hang_up"` // the end, without a word
	Beats     int     `json:"beats"`   // nothing, until so many heartbeats have come
	Signal    string  `json:"signal"`  // to the worker's process
	Expect    any     `json:"expect"`  // the next message but heartbeats; see like
	Pong      *string `json:"pong"`    // the next frame
	Closed    int     `json:"closed"`  // the next frame but heartbeats is a close frame with this code
	Exit      *int    `json:"exit"`    // the worker ends with this code
}

func readDialogues(t *testing.T) (list []dialogue) {
	t.Helper()
	readJSON(t, "testdata/dialogues.json", &list)
	return list
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// TestDialogues has each worker talk to an arbiter that does what the dialogue says.
// All of them: go test ./sdk/conformance -matrix
func TestDialogues(t *testing.T) {
	for _, w := range workers {
		t.Run(w.name, func(t *testing.T) {
			w.need(t)
			for _, d := range readDialogues(t) {
				if w.basic && !d.Basic || d.More && !*matrix {
					continue
				}
				t.Run(d.Name, func(t *testing.T) {
					t.Parallel()
					talk(t, w, d)
				})
			}
		})
	}
}

// talking is one dialogue under way.
type talking struct {
	*testing.T
	cmd    *exec.Cmd
	conn   net.Conn
	frames chan received // closed at the end of the connection
	names  map[string]any
	stderr bytes.Buffer
	exited chan error
}

type received struct {
	opcode  byte
	payload []byte
}

func talk(t *testing.T, w worker, d dialogue) {
	variant := d.Variant
	if variant == "" {
		variant = "concurrent"
	}
	dir, err := os.MkdirTemp("", "arbiter") // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	network, address := "unix", filepath.Join(dir, "s")
	if d.TCP {
		network, address = "tcp", "127.0.0.1:0"
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	k := &talking{T: t, names: map[string]any{}, frames: make(chan received, 1024), exited: make(chan error, 1)}
	k.cmd = exec.Command(w.run[0], append(w.run[1:len(w.run):len(w.run)], variant)...)
	k.cmd.Env = append(os.Environ(), "ARBITER_ADDR="+network+":"+listener.Addr().String(), "ARBITER_TOKEN=t0k3n", "ARBITER_FD=")
	var stdout bytes.Buffer
	k.cmd.Stdout, k.cmd.Stderr = &stdout, &k.stderr
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { k.exited <- k.cmd.Wait() }()
	defer func() {
		_ = k.cmd.Process.Kill() // it has ended, if all went well
		if t.Failed() {
			<-k.exited
			t.Logf("its standard error:\n%s", k.stderr.String())
		} else if stdout.Len() > 0 {
			t.Errorf("on its standard output: %q", stdout.String())
		}
	}()
	_ = listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience))
	if k.conn, err = listener.Accept(); err != nil {
		t.Fatalf("the worker did not connect: %v", err)
	}
	defer k.conn.Close()
	go k.read()
	if d.Prelude == nil || *d.Prelude {
		k.welcome(d)
	}
	for i, s := range d.Steps {
		k.step(s)
		if t.Failed() {
			t.Fatalf("in step %d", i+1)
		}
	}
	if t.Failed() {
		return
	}
	last := d.Steps[len(d.Steps)-1]
	if last.Exit == nil {
		k.send(map[string]any{"command": "stop"})
		k.exit(0)
	}
}

// read reads frames until the connection ends. A worker writes whole frames in their
// shortest form.
func (k *talking) read() {
	defer close(k.frames)
	for {
		var head [2]byte
		if _, err := io.ReadFull(k.conn, head[:]); err != nil {
			return
		}
		n := uint64(head[1])
		if size := map[byte]int{126: 2, 127: 8}[head[1]]; size > 0 {
			b := make([]byte, 8)
			if _, err := io.ReadFull(k.conn, b[8-size:]); err != nil {
				return
			}
			n = 0
			for _, x := range b {
				n = n<<8 | uint64(x)
			}
			if n < 126 || size == 8 && n < 1<<16 {
				k.Errorf("a length of %d in %d bytes", n, size)
			}
		}
		if head[0]&0xf0 != 0x80 || n > 1<<24 {
			k.Errorf("a frame that begins %x", head)
			return
		}
		r := received{head[0] & 0xf, make([]byte, n)}
		if _, err := io.ReadFull(k.conn, r.payload); err != nil {
			return
		}
		k.frames <- r
	}
}

func (k *talking) write(b []byte) {
	k.Helper()
	_ = k.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := k.conn.Write(b); err != nil {
		k.Fatalf("writing to the worker: %v", err)
	}
}

// frame returns a frame. Its first byte is the caller's.
func frame(first byte, payload []byte) []byte {
	n := len(payload)
	switch {
	case n < 126:
		return append([]byte{first, byte(n)}, payload...)
	case n < 1<<16:
		return append([]byte{first, 126, byte(n >> 8), byte(n)}, payload...)
	}
	return append([]byte{first, 127, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, payload...)
}

func (k *talking) text(m any) []byte {
	k.Helper()
	data, err := json.Marshal(k.filled(m))
	if err != nil {
		k.Fatal(err)
	}
	return data
}

func (k *talking) send(m any) { k.Helper(); k.write(frame(0x81, k.text(m))) }

// filled returns m with what was noted by ?as put in, and what is repeated made.
func (k *talking) filled(m any) any {
	switch m := m.(type) {
	case string:
		if name, ok := strings.CutPrefix(m, "?"); ok && k.names[name] != nil {
			return k.names[name]
		}
	case []any:
		list := make([]any, len(m))
		for i, x := range m {
			list[i] = k.filled(x)
		}
		return list
	case map[string]any:
		if times, ok := m["@times"].(json.Number); ok {
			n, _ := times.Int64()
			if s, ok := m["@repeat"].(string); ok {
				return strings.Repeat(s, int(n))
			}
			return slices.Repeat([]any{m["@repeat"]}, int(n))
		}
		out := make(map[string]any, len(m))
		for key, x := range m {
			out[key] = k.filled(x)
		}
		return out
	}
	return m
}

func (k *talking) welcome(d dialogue) {
	k.Helper()
	hello := k.message()
	if hello["command"] != "hello" || hello["kind"] == nil || hello["token"] != "t0k3n" {
		k.Fatalf("instead of a hello: %v", hello)
	}
	silence := d.Silence
	if silence == 0 {
		silence = 10000
	}
	settings := d.Settings
	if settings == nil {
		settings = map[string]any{"colour": "blue"}
	}
	k.send(map[string]any{
		"command": "welcome", "version": 1, "aid": "me-1", "name": "me", "arbiter": "test", "max_message": 65536,
		"heartbeat": silence / 3, "timeout": silence, "budget": 0, "grace": d.Grace, "extra": settings,
	})
	if hello["ready"] != false {
		return
	}
	if m := k.parse(k.next(0x1)); m["command"] != "notify" {
		k.Fatalf("instead of the first heartbeat: %v", m)
	}
}

func (k *talking) step(s step) {
	k.Helper()
	switch {
	case s.Send != nil:
		k.send(s.Send)
	case s.Together != nil:
		var all []byte
		for _, m := range s.Together {
			all = append(all, frame(0x81, k.text(m))...)
		}
		k.write(all)
	case s.Dribble != nil:
		for _, b := range frame(0x81, k.text(s.Dribble)) {
			k.write([]byte{b})
		}
	case s.Fragments != nil:
		data, first := k.text(s.Fragments), byte(0x01)
		at := 0
		for _, cut := range s.Cut {
			k.write(frame(first, data[at:cut]))
			k.write(frame(0x89, []byte(*s.Ping)))
			first, at = 0, cut
		}
		k.write(frame(0x80, data[at:]))
	case s.Text != "":
		k.write(frame(0x81, []byte(s.Text)))
	case s.Raw != "":
		b, err := hex.DecodeString(strings.ReplaceAll(s.Raw, " ", ""))
		if err != nil {
			k.Fatal(err)
		}
		k.write(b)
	case s.Ping != nil:
		k.write(frame(0x89, []byte(*s.Ping)))
	case s.HangUp:
		k.conn.Close()
	case s.Beats > 0:
		for range s.Beats {
			if m := k.parse(k.next(0x1)); m["command"] != "notify" {
				k.Fatalf("instead of a heartbeat: %v", m)
			}
		}
	case s.Signal != "":
		if err := k.cmd.Process.Signal(map[string]os.Signal{"TERM": syscall.SIGTERM}[s.Signal]); err != nil {
			k.Fatal(err)
		}
	case s.Expect != nil:
		if m := k.message(); !k.like(s.Expect, m) {
			want, _ := json.Marshal(s.Expect)
			got, _ := json.Marshal(m)
			k.Fatalf("got  %.1000s\nwant %s", got, want)
		}
	case s.Pong != nil:
		if got := k.next(0xA); string(got.payload) != *s.Pong {
			k.Fatalf("a pong of %q, want %q", got.payload, *s.Pong)
		}
	case s.Closed != 0:
		got := k.next(0x8)
		if len(got.payload) < 2 || int(got.payload[0])<<8|int(got.payload[1]) != s.Closed {
			k.Fatalf("a close frame of %q, want %d", got.payload, s.Closed)
		}
	case s.Exit != nil:
		k.exit(*s.Exit)
	default:
		k.Fatalf("a step that says nothing: %+v", s)
	}
}

// next returns the next frame, which is to have opcode. Heartbeats are skipped where
// that is not the first thing a worker says.
func (k *talking) next(opcode byte) received {
	k.Helper()
	for {
		select {
		case r, ok := <-k.frames:
			if !ok {
				k.Fatalf("the connection ended; a frame with opcode %d was expected", opcode)
			}
			if r.opcode != opcode && r.opcode == 1 && bytes.Contains(r.payload, []byte(`"notify"`)) {
				continue
			}
			if r.opcode != opcode {
				k.Fatalf("a frame with opcode %d: %.200q; one with %d was expected", r.opcode, r.payload, opcode)
			}
			return r
		case <-time.After(patience):
			k.Fatalf("nothing came; a frame with opcode %d was expected", opcode)
		}
	}
}

func (k *talking) parse(r received) (m map[string]any) {
	k.Helper()
	d := json.NewDecoder(bytes.NewReader(r.payload))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		k.Fatalf("%.200q: %v", r.payload, err)
	}
	return m
}

// message returns the next message that is no heartbeat.
func (k *talking) message() map[string]any {
	k.Helper()
	for {
		if m := k.parse(k.next(0x1)); m["command"] != "notify" {
			return m
		}
	}
}

// exit waits until the worker has ended, and hangs up when it has said all.
func (k *talking) exit(code int) {
	k.Helper()
	timer := time.After(patience)
	for {
		select {
		case r, ok := <-k.frames:
			if !ok || r.opcode == 0x8 {
				k.conn.Close()
				k.frames = nil
			}
		case err := <-k.exited:
			got := 0
			var failed *exec.ExitError
			if errors.As(err, &failed) {
				got = failed.ExitCode()
			}
			k.exited <- err
			if got != code {
				k.Fatalf("it exited with %d, want %d", got, code)
			}
			return
		case <-timer:
			k.Fatal("it did not exit")
		}
	}
}

// like reports whether got is what want says. A map in got may have more keys. A text
// in want that begins with a question mark says something about got:
//
//	?number 2.0   a number with a point or an exponent, of that value
//	?time T       that moment
//	?has a, b     a list with these texts, or with objects of these names
//	?like x       a text with x in it
//	?most n       a number from 1 to n
//	?as n         anything, noted as n
//	?none         nothing: the key is not there
//	?n            what was noted as n
func (k *talking) like(want, got any) bool {
	switch want := want.(type) {
	case string:
		if rule, ok := strings.CutPrefix(want, "?"); ok {
			return k.rule(rule, got)
		}
	case map[string]any:
		m, ok := got.(map[string]any)
		for key, x := range want {
			if v, there := m[key]; !ok || there == (x == "?none") || there && !k.like(x, v) {
				return false
			}
		}
		return ok
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i, x := range want {
			if !k.like(x, list[i]) {
				return false
			}
		}
		return true
	}
	return fmt.Sprintf("%T %[1]v", want) == fmt.Sprintf("%T %[1]v", got)
}

func (k *talking) rule(rule string, got any) bool {
	verb, rest, _ := strings.Cut(rule, " ")
	switch verb {
	case "number":
		n, _ := got.(json.Number)
		f, err := n.Float64()
		want, _ := json.Number(rest).Float64()
		return err == nil && strings.ContainsAny(n.String(), ".eE") && math.Float64bits(f) == math.Float64bits(want)
	case "time":
		text, _ := got.(string)
		t, err := time.Parse(time.RFC3339Nano, text)
		want, _ := time.Parse(time.RFC3339Nano, rest)
		return err == nil && t.Equal(want)
	case "has":
		there := map[any]bool{}
		list, _ := got.([]any)
		for _, x := range list {
			if m, ok := x.(map[string]any); ok {
				x = m["name"]
			}
			if s, ok := x.(string); ok {
				there[s] = true
			}
		}
		for _, name := range strings.Split(rest, ", ") {
			if !there[name] {
				return false
			}
		}
		return true
	case "like":
		text, ok := got.(string)
		return ok && strings.Contains(text, rest)
	case "most":
		n, _ := got.(json.Number)
		f, err := n.Float64()
		most, _ := json.Number(rest).Float64()
		return err == nil && f >= 1 && f <= most
	case "as":
		k.names[rest] = got
		return true
	}
	return k.names[verb] == got
}

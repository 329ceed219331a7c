package websocket_test

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/websocket"
)

var whole = flag.Bool("autobahn-whole", false, "group 9 of TestConformance with the sizes of the suite")

// TestConformance has each profile meet all cases of the Autobahn suite that are not of
// compression. What the suite sends as a message is here a request to an actor that
// echoes, of the same size; around it is what the profile needs. A case that does not
// apply to a profile is run with what has to happen there instead, and the reason is
// logged (-v):
//
//	frames, masked   the reader of package frame alone, with the messages as they are
//	json, websocket  the json profile, over a bare socket and over a websocket
//	native           all messages are binary, those of text too
//
// go test ./websocket -run TestConformance -autobahn-whole -v has the sizes of the suite.
func TestConformance(t *testing.T) {
	cases := autobahnCases(*whole)
	if len(cases) != 301 {
		t.Errorf("there are %d cases, and the suite has 301", len(cases))
	}
	seen := make(map[string]bool)
	for _, c := range cases {
		if seen[c.id] {
			t.Errorf("two cases are %s", c.id)
		}
		seen[c.id] = true
	}
	for _, masking := range []frame.Masking{frame.Unmasked, frame.MaskRequired} {
		name := "frames"
		if masking == frame.MaskRequired {
			name = "masked"
		}
		t.Run(name, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.id, func(t *testing.T) { c.read(t, masking) })
			}
		})
	}
	arb, _ := start(t, func(o *arbiter.Options) { o.Listen, o.HTTP = "127.0.0.1:0", websocket.Serve })
	address := strings.TrimPrefix(arb.Addresses()[0], "tcp:")
	for _, p := range []struct {
		name string
		join func(t *testing.T) mate
		suit func(c autobahn) (autobahn, string)
	}{
		{"json", func(t *testing.T) mate { return joinJSON(t, address, false) }, suitJSON},
		{"websocket", func(t *testing.T) mate { return joinJSON(t, address, true) }, suitJSON},
		{"native", func(t *testing.T) mate { return joinNative(t, address) }, suitNative},
	} {
		t.Run(p.name, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.id, func(t *testing.T) {
					c, reason := p.suit(c)
					t.Log(c.what)
					if reason != "" {
						t.Log("does not apply:", reason)
					}
					c.meet(t, p.join(t))
				})
			}
		})
	}
}

// read has a reader read all that the case sends.
func (c autobahn) read(t *testing.T, masking frame.Masking) {
	var stream []byte
	var wanted []string
	var message string
	for _, turn := range c.turns {
		switch {
		case turn.want == "":
			stream = append(stream, turn.frames(turn.payload(0), masking == frame.MaskRequired)...)
			if turn.op == frame.Text || turn.op == frame.Binary {
				message = ""
			}
			if turn.rsv == 0 && !turn.op.Control() {
				message += turn.payload(0)
			}
		case turn.want == "echo":
			wanted = append(wanted, short("echo "+message))
		case turn.late: // a reader has nobody to answer
			wanted = nil
		default:
			wanted = append(wanted, turn.want)
		}
	}
	if !c.ends() {
		stream = append(stream, goodbye.frames(goodbye.text, masking == frame.MaskRequired)...)
		wanted = append(wanted, "end 1000")
	}
	if c.turns[len(c.turns)-1].late {
		wanted = append(wanted, "end 1000")
	}
	chop := c.chop
	if chop == 0 {
		chop = len(stream)
	}
	r := frame.NewReader(&choppedReader{stream, chop}, frame.Options{Masking: masking, Fragments: true, TextUTF8: true})
	var got []string
	for end := false; !end; {
		op, payload, err := r.Next()
		if err == nil && op == frame.Close {
			code := frame.CloseNoStatus
			if code, _, err = frame.ParseClose(payload); err == nil {
				if code == frame.CloseNoStatus {
					code = frame.CloseNormal // it is answered so
				}
				got, end = append(got, fmt.Sprint("end ", code)), true
				continue
			}
		}
		switch e := (*frame.Error)(nil); {
		case err == nil && op == frame.Ping:
			got = append(got, "pong "+string(payload))
		case err == nil && op != frame.Pong:
			if !c.turns[len(c.turns)-1].late {
				got = append(got, short("echo "+string(payload)))
			}
		case err == nil:
		default:
			e, _ = err.(*frame.Error)
			if e == nil {
				t.Fatalf("read %q, then %v", got, err)
			}
			got, end = append(got, fmt.Sprint("end ", e.Close)), true
		}
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("%s: got %q, want %q", c.what, got, wanted)
	}
}

// short is s, or how long it is.
func short(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%.20q… of %d bytes", s, len(s))
	}
	return s
}

type choppedReader struct {
	b    []byte
	chop int
}

func (r *choppedReader) Read(b []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.b[:min(r.chop, len(r.b))])
	r.b = r.b[n:]
	return n, nil
}

// ends reports whether the case itself ends the connection.
func (c autobahn) ends() bool { return strings.HasPrefix(c.turns[len(c.turns)-1].want, "end") }

// payload is the turn's, with around bytes less than its message shall have.
func (t turn) payload(around int) string {
	if t.size == 0 {
		return t.text
	}
	return strings.Repeat(t.text, t.size-around)
}

// frames are the turn's bytes, with the payload.
func (t turn) frames(payload string, masked bool) (b []byte) {
	piece := t.split
	if piece == 0 {
		piece = len(payload)
	}
	op := t.op
	for first := true; first || payload != ""; first = false {
		n := min(piece, len(payload))
		h := frame.Header{Fin: !t.more && n == len(payload), Opcode: op, Length: uint64(n), Masked: masked, Mask: [4]byte{7, 0, 0xfe, byte(n)}}
		at := len(b)
		b = h.Append(b)
		b[at] |= t.rsv << 4
		body := []byte(payload[:n])
		if masked {
			frame.Mask(h.Mask, 0, body)
		}
		b = append(b, body...)
		payload, op = payload[n:], frame.Continuation
	}
	return b
}

// meet has m do what the case says.
func (c autobahn) meet(t *testing.T, m mate) {
	s := m.socket()
	// What is sent is written by another goroutine: neither side may wait for the other to read.
	out := make(chan []byte, len(c.turns)+1)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for b := range out {
			n := len(b)
			if c.chop > 0 {
				n = c.chop
			}
			for p := range slices.Chunk(b, max(n, 1)) {
				if _, err := s.Write(p); err != nil {
					return // it was refused: what is read says so
				}
			}
		}
	}()
	defer func() { close(out); _ = s.Close(); <-wrote }()

	var echoes []string
	var message, behind string
	var pending []byte
	turns := c.turns
	if !c.ends() {
		turns = append(slices.Clip(turns), goodbye, finished)
	}
	for _, turn := range turns {
		if turn.want == "" {
			payload := turn.payload(0)
			whole := !turn.more
			switch turn.op {
			case frame.Text, frame.Binary:
				var before string
				before, behind = m.request()
				payload = turn.payload(len(before) + len(behind))
				message, payload = payload, before+payload
			case frame.Continuation:
				message += payload
			default:
				whole = false
			}
			if whole {
				payload += behind
				echoes = append(echoes, message)
			}
			if strings.HasSuffix(c.what, nothingAtAll) {
				payload = ""
			}
			pending = append(pending, turn.frames(payload, m.masks())...)
			if c.chop == 0 {
				out <- pending
				pending = nil
			}
			continue
		}
		if len(pending) > 0 {
			out <- pending
			pending = nil
		}
		for {
			kind, payload := m.next()
			if kind == "echo" && turn.late {
				continue
			}
			if kind == "echo" && len(echoes) > 0 {
				if payload != echoes[0] {
					t.Fatalf("%.100q was echoed as %.100q", echoes[0], payload)
				}
				echoes, payload = echoes[1:], ""
			}
			if got := strings.TrimSuffix(kind+" "+payload, " "); got != strings.TrimSuffix(turn.want, " ") {
				t.Fatalf("got %q, want %q", got, turn.want)
			}
			break
		}
	}
}

// nothingAtAll at the end of what a case is says that its message is to be of no bytes.
const nothingAtAll = "nothing in it"

// cutAt is the case up to its first turn that is, and then the end.
func (c autobahn) cutAt(is func(turn) bool, end string) (autobahn, bool) {
	i := slices.IndexFunc(c.turns, is)
	if i < 0 {
		return c, false
	}
	c.turns = append(slices.Clone(c.turns[:i+1]), want(end))
	return c, true
}

// suitJSON is the case as it is met in the json profile, and why it is not the same.
func suitJSON(c autobahn) (autobahn, string) {
	if d, is := c.cutAt(func(t turn) bool { return t.want == "" && t.op == frame.Binary && t.rsv == 0 }, "end 1003"); is {
		return d, "only text is taken"
	}
	if strings.HasSuffix(c.what, nothingAtAll) && c.turns[0].op == frame.Text {
		c.turns = []turn{text(""), want("end 1007")}
		return c, "nothing is no JSON"
	}
	if c.turns[0].text == "\x00" {
		c.turns = []turn{text("\x00"), want("end 1007")}
		return c, "JSON takes U+0000 escaped alone"
	}
	return c, ""
}

// suitNative is the case as it is met in the native profile, and why it is not the
// same. There refusals are said by a goodbye, which has no code.
func suitNative(c autobahn) (autobahn, string) {
	reason := ""
	if strings.HasSuffix(c.what, nothingAtAll) && !c.turns[0].op.Control() {
		c.turns = []turn{blob(""), want("end protocol")}
		return c, "every message has a header"
	}
	fragmented := func(t turn) bool {
		return t.want == "" && !t.op.Control() && t.rsv == 0 && (t.more || t.op == frame.Continuation || t.split > 0)
	}
	if d, is := c.cutAt(fragmented, "end protocol"); is {
		for i := range d.turns {
			d.turns[i].split = min(d.turns[i].split, 1)
		}
		c, reason = d, "a message is one frame"
	}
	c.turns = slices.Clone(c.turns)
	closed := false
	for i := range c.turns {
		t := &c.turns[i]
		switch {
		case t.op == frame.Text && t.want == "":
			t.op = frame.Binary
		case t.want == "" && t.op == frame.Close && t.rsv == 0 && len(t.text) <= 125:
			closed = true
		case strings.HasPrefix(t.want, "end"):
			if t.want = "end protocol"; closed {
				t.want, reason = "end", "a close frame is the end, whatever it says, and is not answered"
			}
		}
	}
	turns := len(c.turns)
	c.turns = slices.DeleteFunc(c.turns, func(t turn) bool { return strings.HasPrefix(t.want, "pong") })
	if len(c.turns) < turns && reason == "" {
		reason = "a ping is a sign of life and is not answered: the profile has heartbeats of its own"
	}
	if n := len(c.turns) - 1; c.turns[n].want == "end protocol" && strings.HasPrefix(c.id, "6.") && reason == "" {
		c.turns[n].want, reason = "echo", "nobody looks whether bytes are UTF-8"
	}
	if !c.ends() {
		c.turns = append(c.turns, bye("\x03\xe8"), want("end"))
	}
	return c, reason
}

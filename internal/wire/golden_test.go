package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "write testdata anew")

// The golden frames are for every implementation, in any language: each is a file
// of testdata with the whole RFC 6455 frame in hex, and frames.json says what stands
// in it. An SDK reads the frame and compares, then writes the same fields and
// compares the bytes (the map of a body may stand in another order).
type golden struct {
	File    string      `json:"file"`
	About   string      `json:"about"`
	Header  string      `json:"frameHeader"` // hex of RFC 6455's part
	Kind    uint8       `json:"kind"`
	Name    string      `json:"kindName"`
	Flags   uint8       `json:"flags"`
	Codec   uint8       `json:"codec"`
	Millis  uint32      `json:"millis"`
	ID      uint64      `json:"id"`
	Target  string      `json:"target"`
	Sender  string      `json:"sender"`
	Command string      `json:"command"`
	Ext     []goldenExt `json:"extensions,omitempty"`
	Body    string      `json:"body"`              // hex
	Diag    string      `json:"cbor,omitempty"`    // the body in RFC 8949's diagnostic notation
	Meaning any         `json:"meaning,omitempty"` // what this package reads from it
}

type goldenExt struct {
	Type  byte   `json:"type"`
	Value string `json:"value"` // hex
}

// A malformed message must be refused.
type malformed struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

type goldenFile struct {
	About     string      `json:"about"`
	Frames    []golden    `json:"frames"`
	Malformed []malformed `json:"malformed"`
	// Refused are well formed, and must not come where no message is open.
	Refused []malformed `json:"refused"`
}

func body(t *testing.T, c Codec, v any) []byte {
	t.Helper()
	b, err := Encode(c, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goldenMessages are the frames, one or more of each kind.
func goldenMessages(t *testing.T) (names, abouts []string, messages []Message) {
	t.Helper()
	add := func(name, about string, m Message) {
		names, abouts, messages = append(names, name), append(abouts, about), append(messages, m)
	}
	must := func(m Message, err error) Message {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	args, err := EncodeArgs(CodecCBOR, nil, []any{"hi", 5}, map[string]any{"loud": true, "at": nil})
	if err != nil {
		t.Fatal(err)
	}
	jsonArgs, err := EncodeArgs(CodecJSON, nil, []any{"hi", 5}, map[string]any{"loud": true})
	if err != nil {
		t.Fatal(err)
	}
	tally, counter, addName := []byte("tally"), []byte("counter-1"), []byte("add")
	var credit [16]byte
	death := &Death{Cause: CauseExit, Reason: "it gave up", ExitCode: 3, PID: 4121, Stderr: []string{"starting", "no such table: orders"}}

	add("hello", "an actor with two commands", must(someHello().Message()))
	add("hello-client", "the least hello: a client that only calls", must((&Hello{Newest: 1, Oldest: 1, Client: true, Inbox: Window{8192, 1 << 20}}).Message()))
	add("hello-99", "a hello of versions 98 to 99, whose body is not ours to read: answered with error version", Message{Kind: KindHello, Codec: 77, ID: 99, Millis: 98, Body: []byte("?")})
	add("welcome", "the answer to hello", must(someWelcome().Message()))
	add("error-version", "the answer to hello-99", func() Message {
		_, e := Negotiate(&Hello{Newest: 99, Oldest: 98})
		return e.Frame(KindError, 0)
	}())
	add("request", "add(5) to tally, 29.95 s left", Message{Kind: KindRequest, Codec: CodecCBOR, Millis: 29950, ID: 1, Target: tally, Command: addName, Body: body(t, CodecCBOR, 5)})
	add("request-forwarded", "the same as the arbiter passes it on: an id of its own, the true sender", Message{Kind: KindRequest, Codec: CodecCBOR, Millis: 29950, ID: 1 << 20, Target: tally, Sender: counter, Command: addName, Body: body(t, CodecCBOR, 5)})
	add("request-nothing", "a command without argument", Message{Kind: KindRequest, ID: 2, Target: tally, Command: []byte("reset")})
	add("request-args", "positional and keyword arguments, CBOR", Message{Kind: KindRequest, Flags: FlagArgs, Codec: CodecCBOR, Millis: 1000, ID: 3, Target: tally, Command: []byte("say"), Body: args})
	add("request-args-json", "positional and keyword arguments, JSON", Message{Kind: KindRequest, Flags: FlagArgs, Codec: CodecJSON, Millis: 1000, ID: 4, Target: tally, Command: []byte("say"), Body: jsonArgs})
	add("request-nested", "made inside the handler of request 7, which keeps its turn; with a traceparent and an extension nobody knows", Message{
		Kind: KindRequest, Flags: FlagTurn, Codec: CodecCBOR, Millis: 500, ID: MaxID, Target: tally, Command: addName, Body: body(t, CodecCBOR, -1),
		Ext: AppendExt(AppendExt(AppendParent(nil, 7), ExtTrace, []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")), 77, []byte("?")),
	})
	add("request-must", "an extension that must be understood and is not: refused with error protocol", Message{Kind: KindRequest, Codec: CodecNone, ID: 6, Target: tally, Command: addName, Ext: AppendExt(nil, 0xc8, []byte{1})})
	add("request-chained", "the target itself waits, further up, for this call", Message{Kind: KindRequest, Flags: FlagChained, Codec: CodecCBOR, Millis: 500, ID: 8, Target: tally, Sender: counter, Command: addName, Body: body(t, CodecCBOR, 1)})
	add("request-one-way", "nobody waits for the answer", Message{Kind: KindRequest, Flags: FlagOneWay, Codec: CodecRaw, Target: tally, Command: []byte("log"), Body: body(t, CodecRaw, "grüße\n")})
	add("request-accept", "to be answered, with nothing, once accepted", Message{Kind: KindRequest, Flags: FlagAccept, Codec: CodecJSON, Millis: 30000, ID: 9, Target: tally, Command: []byte("log"), Body: body(t, CodecJSON, map[string]any{"line": "a"})})
	add("request-300", "a body of 300 bytes: the frame's length takes two bytes", Message{Kind: KindRequest, Codec: CodecCBOR, ID: 10, Target: tally, Command: addName, Body: body(t, CodecCBOR, bytes.Repeat([]byte{7}, 297))})
	add("reply", "the result 12", Message{Kind: KindReply, Codec: CodecCBOR, ID: 1, Body: body(t, CodecCBOR, 12)})
	add("reply-nothing", "a result that is nothing, or accepted", Message{Kind: KindReply, ID: 2})
	add("reply-values", "one of each value CBOR bodies have", Message{Kind: KindReply, Codec: CodecCBOR, ID: 3, Body: body(t, CodecCBOR, []any{
		nil, true, 0, -1, uint64(1<<64 - 1), 1.5, "é", []byte{0, 255}, []any{}, map[string]any{"k": []int{1}},
		cbor.Tag{Number: 0, Content: "2026-11-23T11:15:00.000000001Z"}, cbor.Tag{Number: 1, Content: 1}, cbor.Tag{Number: 2, Content: []byte{1, 0, 0, 0, 0, 0, 0, 0, 0}},
		cbor.Tag{Number: 37, Content: []byte("0123456789abcdef")}, cbor.Tag{Number: 258, Content: []string{"a"}},
	})})
	add("error", "the handler's own error", (&Error{Code: CodeApp, Started: StartedYes, Message: "no such order: 7", App: "E_NO_ORDER", Target: "tally", Command: "add"}).Frame(KindError, 1))
	add("error-unknown-actor", "a nearest name is offered", Errorf(CodeUnknownActor, "no actor %q; did you mean %q?", "tali", "tally").NotStarted().Frame(KindError, 2))
	add("error-down", "the target died while it handled the call", (&Error{Code: CodeDown, Started: StartedYes, Message: "it exited with code 3", Target: "tally", Command: "add", Death: death}).Frame(KindError, 3))
	add("error-cycle", "a wait that could never end", (&Error{Code: CodeCycle, Started: StartedNo, Message: "a waits for b, which waits for a", Path: []string{"a", "b", "a"}}).Frame(KindError, 4))
	add("error-bare", "an error with nothing but its code", (&Error{Code: CodeOverloaded, Started: StartedNo}).Frame(KindError, 5))
	add("cancel", "whoever asked 1 no longer waits", Message{Kind: KindCancel, ID: 1})
	undelivered := (&Error{Code: CodeOverloaded, Started: StartedNo, Message: "its inbox is full", Target: "tally", Command: "log"}).Frame(KindUndelivered, 0)
	add("undelivered", "a one-way message came back", undelivered)
	add("watch", "tell me when tally ends", Message{Kind: KindWatch, ID: 11, Millis: 30000, Target: tally})
	add("unwatch", "the watch 11 is over", Message{Kind: KindUnwatch, ID: 11})
	down := death.Message(KindDown, 11)
	down.Sender, down.Command = []byte("tally-aid"), tally
	add("down", "tally, watched as 11, has ended", down)
	add("credit", "300 messages of 123456 bytes were taken, 299 handlers have begun", Credit{Messages: 300, Bytes: 123456, Started: 299}.Message(&credit))
	add("xoff", "send nothing more to tally for now", Message{Kind: KindXoff, Target: tally})
	add("xon", "go on sending to tally", Message{Kind: KindXon, Target: tally})
	add("notify", "the heartbeat", Message{Kind: KindNotify})
	add("notify-info", "the heartbeat with what an actor says of itself", Message{Kind: KindNotify, Codec: CodecCBOR, Body: body(t, CodecCBOR, struct {
		State string `cbor:"state"`
		Inbox int    `cbor:"inbox"`
	}{"running", 2})})
	add("stop", "finish what you have and end; the reason is text", Message{Kind: KindStop, Codec: CodecRaw, Body: []byte("the arbiter stops")})
	add("goodbye", "the last frame of an actor that stopped", (&Death{Cause: CauseStopped, Reason: "the arbiter stops"}).Message(KindGoodbye, 0))
	whole := inPieces()
	add("piece-first", "the first 4,096 bytes of a request of 4,335, as kind 3 and the rest stand there", Message{Kind: KindPiece, Flags: FlagFirst, Codec: CodecRaw, ID: uint64(len(whole)), Body: whole[:MinPiece]})
	add("piece-last", "the other 239", Message{Kind: KindPiece, Codec: CodecRaw, ID: uint64(len(whole) - MinPiece), Body: whole[MinPiece:]})
	add("piece-reply", "all of the reply 2 in one piece, which may be, and is of no use", Message{Kind: KindPiece, Flags: FlagFirst | FlagOfReply, Codec: CodecRaw, ID: HeaderSize, Body: (&Message{Kind: KindReply, ID: 2}).Append(nil)})
	add("goodbye-bare", "a goodbye without a word: stopped", Message{Kind: KindGoodbye})
	return names, abouts, messages
}

// inPieces is the message that the golden pieces are of.
func inPieces() []byte {
	m := Message{Kind: KindRequest, Codec: CodecRaw, Flags: FlagOneWay, Target: []byte("tally"), Command: []byte("keep"), Body: bytes.Repeat([]byte("0123456789\n"), 392)[:4306]}
	return m.Append(nil)
}

// refusedPiece says why the frame b may not come where nothing is open: nil if it may.
func refusedPiece(b []byte) error {
	p, err := ParsePiece(b)
	if err != nil {
		return err
	}
	if err := p.Check(len(b)-HeaderSize, 0, 16<<20); err != nil {
		return err
	}
	kind, _, err := ParseHead(b[HeaderSize:])
	if err != nil {
		return err
	}
	if reply, ok := InPieces(kind); !ok || reply != p.Reply {
		return errors.New("not in pieces")
	}
	return nil
}

// frameHeader is RFC 6455 §5.2 for a binary, final, unmasked frame of n bytes.
func frameHeader(n int) []byte {
	switch {
	case n < 126:
		return []byte{0x82, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{0x82, 126}, uint16(n))
	}
	return binary.BigEndian.AppendUint64([]byte{0x82, 127}, uint64(n))
}

func describe(t *testing.T, name, about string, m *Message) golden {
	t.Helper()
	g := golden{
		File: name + ".hex", About: about, Header: hex.EncodeToString(frameHeader(m.Size())),
		Kind: uint8(m.Kind), Name: m.Kind.String(), Flags: uint8(m.Flags), Codec: uint8(m.Codec), Millis: m.Millis, ID: m.ID,
		Target: string(m.Target), Sender: string(m.Sender), Command: string(m.Command), Body: hex.EncodeToString(m.Body),
	}
	for ext := m.Ext; len(ext) > 0; {
		n := 3 + int(binary.BigEndian.Uint16(ext[1:]))
		g.Ext = append(g.Ext, goldenExt{ext[0], hex.EncodeToString(ext[3:n])})
		ext = ext[n:]
	}
	if m.Codec == CodecCBOR {
		diag, err := cbor.Diagnose(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		g.Diag = diag
	}
	switch m.Kind {
	case KindHello:
		h, err := ParseHello(m)
		if err != nil {
			t.Fatal(err)
		}
		g.Meaning = h
	case KindWelcome:
		w, err := ParseWelcome(m)
		if err != nil {
			t.Fatal(err)
		}
		g.Meaning = w
	case KindError, KindUndelivered:
		g.Meaning = ParseError(m)
	case KindDown, KindGoodbye:
		g.Meaning = ParseDeath(m)
	case KindPiece:
		p, err := ParsePiece(m.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		g.Meaning = p
	case KindCredit:
		c, err := ParseCredit(m)
		if err != nil {
			t.Fatal(err)
		}
		g.Meaning = c
	}
	return g
}

// lines writes b as hex, 32 bytes a line.
func lines(b []byte) string {
	var s strings.Builder
	for len(b) > 32 {
		s.WriteString(hex.EncodeToString(b[:32]) + "\n")
		b = b[32:]
	}
	return s.String() + hex.EncodeToString(b) + "\n"
}

func TestGoldenFrames(t *testing.T) {
	want := goldenFile{About: "Frames of the native profile, version 1. See docs/protocol.md. Regenerate: go test ./internal/wire -run Golden -update"}
	names, abouts, messages := goldenMessages(t)
	files := map[string]string{}
	kinds := map[Kind]bool{}
	for i := range messages {
		m := &messages[i]
		kinds[m.Kind] = true
		b := m.Append(nil)
		files[names[i]+".hex"] = lines(append(frameHeader(len(b)), b...))
		want.Frames = append(want.Frames, describe(t, names[i], abouts[i], m))
	}
	for k := KindHello; k <= KindPiece; k++ {
		if !kinds[k] {
			t.Errorf("there is no golden %v", k)
		}
	}
	whole := messages[5].Append(nil)
	for _, bad := range []struct {
		name, why string
		change    func([]byte) []byte
	}{
		{"bad-short", "shorter than the header", func(b []byte) []byte { return b[:HeaderSize-1] }},
		{"bad-names", "its names go beyond its end", func(b []byte) []byte { b[3] = 255; return b }},
		{"bad-extensions", "its extensions go beyond its end", func(b []byte) []byte { b[18] = 0xff; return b }},
		{"bad-kind", "a first byte of 0x80 or more is pickle, not a kind", func(b []byte) []byte { b[0] = 0x80; return b }},
		{"bad-id", "an id of 2^53", func(b []byte) []byte { b[9] = 0x20; return b }},
	} {
		b := bad.change(bytes.Clone(whole))
		if err := new(Message).Parse(b); err == nil {
			t.Errorf("%s was taken", bad.name)
		}
		files[bad.name+".hex"] = lines(append(frameHeader(len(b)), b...))
		want.Malformed = append(want.Malformed, malformed{bad.name + ".hex", bad.why})
	}
	for _, bad := range []struct {
		name, why string
		p         Piece
		message   []byte
	}{
		{"piece-bad-begin", "it goes on with a message that was not begun", Piece{Left: 5000}, inPieces()[:MinPiece]},
		{"piece-bad-empty", "it has no byte of its message", Piece{First: true, Left: 5000}, nil},
		{"piece-bad-length", "it has more bytes than its message", Piece{First: true, Left: HeaderSize}, inPieces()[:HeaderSize+1]},
		{"piece-bad-zero", "its message has no bytes", Piece{First: true}, inPieces()[:HeaderSize]},
		{"piece-bad-limit", "its message has 16 MiB and a byte", Piece{First: true, Left: 16<<20 + 1}, inPieces()[:MinPiece]},
		{"piece-bad-small", "it is not the last and has less than 4,096 bytes", Piece{First: true, Left: 5000}, inPieces()[:100]},
		{"piece-bad-kind", "a stop does not come in pieces", Piece{First: true, Left: HeaderSize}, (&Message{Kind: KindStop}).Append(nil)},
		{"piece-bad-row", "a request is not one of the replies", Piece{First: true, Reply: true, Left: HeaderSize}, (&Message{Kind: KindRequest}).Append(nil)},
	} {
		b := append(bad.p.Append(nil), bad.message...)
		if refusedPiece(b) == nil {
			t.Errorf("%s was taken", bad.name)
		}
		files[bad.name+".hex"] = lines(append(frameHeader(len(b)), b...))
		want.Refused = append(want.Refused, malformed{bad.name + ".hex", bad.why})
	}
	manifest, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	files["frames.json"] = string(manifest) + "\n"

	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join("testdata", name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, content := range files {
		got, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Error(err)
		} else if string(got) != content {
			t.Errorf("%s is not what this package writes; if that is meant, the version changes, and -update writes it anew\ngot  %s\nwant %s", name, content, got)
		}
	}
	onDisk, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range onDisk {
		if _, ok := files[filepath.Base(path)]; !ok {
			t.Errorf("%s belongs to no frame", path)
		}
	}
}

// TestGoldenReplay reads the files as an SDK does: with nothing but frames.json.
func TestGoldenReplay(t *testing.T) {
	raw, err := os.ReadFile("testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var file goldenFile
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Frames) < 16 || len(file.Malformed) < 5 {
		t.Fatalf("%d frames, %d malformed", len(file.Frames), len(file.Malformed))
	}
	read := func(name, header string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		if header == "" {
			return b[2:]
		}
		if !strings.HasPrefix(hex.EncodeToString(b), header) {
			t.Fatalf("%s does not begin with %s", name, header)
		}
		return b[len(header)/2:]
	}
	for _, g := range file.Frames {
		b := read(g.File, g.Header)
		var m Message
		if err := m.Parse(b); err != nil {
			t.Fatalf("%s: %v", g.File, err)
		}
		var ext []byte
		for _, e := range g.Ext {
			v, err := hex.DecodeString(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			ext = AppendExt(ext, e.Type, v)
		}
		body, err := hex.DecodeString(g.Body)
		if err != nil {
			t.Fatal(err)
		}
		built := Message{
			Kind: Kind(g.Kind), Flags: Flags(g.Flags), Codec: Codec(g.Codec), Millis: g.Millis, ID: g.ID,
			Target: []byte(g.Target), Sender: []byte(g.Sender), Command: []byte(g.Command), Ext: ext, Body: body,
		}
		if again := built.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%s: frames.json gives %x, the file has %x", g.File, again, b)
		}
		if m.Codec == CodecCBOR && m.Flags&FlagArgs == 0 {
			var v any
			if err := Decode(CodecCBOR, m.Body, &v); err != nil {
				t.Errorf("%s: %v", g.File, err)
			}
		}
		if must := m.CheckExt() != nil; must != (g.File == "request-must.hex") {
			t.Errorf("%s: extensions %v", g.File, m.CheckExt())
		}
	}
	for _, bad := range file.Malformed {
		if err := new(Message).Parse(read(bad.File, "")); err == nil {
			t.Errorf("%s (%s) was taken", bad.File, bad.Why)
		}
	}
	for _, bad := range file.Refused {
		b := read(bad.File, "")
		if n := len(b) - HeaderSize; n > 125-HeaderSize {
			b = b[2:] // a length of two bytes
		}
		if err := new(Message).Parse(b); err != nil || refusedPiece(b) == nil {
			t.Errorf("%s (%s) was taken, or is malformed: %v", bad.File, bad.Why, err)
		}
	}
	var whole []byte
	for _, g := range file.Frames {
		if g.Name == "piece" && Flags(g.Flags)&FlagOfReply == 0 {
			body, _ := hex.DecodeString(g.Body)
			if len(whole)+int(g.ID) != len(inPieces()) {
				t.Errorf("%s says that %d bytes are left, after %d of %d", g.File, g.ID, len(whole), len(inPieces()))
			}
			whole = append(whole, body...)
		}
	}
	if !bytes.Equal(whole, inPieces()) {
		t.Errorf("the pieces make %d bytes, of a message of %d", len(whole), len(inPieces()))
	}
	var hello golden
	for _, g := range file.Frames {
		if g.Name == "hello" && hello.Name == "" {
			hello = g
		}
	}
	again, err := json.Marshal(someHello())
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal(again, &want); err != nil || !reflect.DeepEqual(hello.Meaning, want) {
		t.Errorf("the hello means %v, want %v", hello.Meaning, want)
	}
}

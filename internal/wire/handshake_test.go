package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func someHello() *Hello {
	return &Hello{
		Newest: Version, Oldest: MinVersion, Features: 5, Token: "s3cret", Kind: "counter", Name: "tally", AID: "c-1",
		Mode: "interleaved", Inbox: Window{Messages: 1000, Bytes: 1 << 20}, PID: 4121, Language: "go 1.26",
		Codecs:   []Codec{CodecCBOR, CodecJSON},
		Commands: []CommandInfo{{Name: "add", Doc: "adds", In: "int", Out: "int", Ack: true}, {Name: "tick"}},
	}
}

func someWelcome() *Welcome {
	return &Welcome{
		Version: Version, Features: 1, AID: "c-1", Name: "tally", Arbiter: "arbiter-0", Window: Window{Messages: 8192, Bytes: 1 << 20},
		MaxMessage: 16 << 20, Interval: 3000, Timeout: 10000, PID: 4000,
	}
}

// over carries m as a connection does.
func over(t *testing.T, m Message) *Message {
	t.Helper()
	got := new(Message)
	if err := got.Parse(m.Append(nil)); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestHandshakeRoundTrip(t *testing.T) {
	for _, h := range []*Hello{someHello(), {Newest: 1, Oldest: 1, Client: true}, {Newest: 1, Oldest: 1, Kind: "k"}} {
		m, err := h.Message()
		if err != nil {
			t.Fatal(err)
		}
		again, err := h.Message()
		if err != nil || !bytes.Equal(m.Body, again.Body) {
			t.Error("a hello has more than one image")
		}
		got, err := ParseHello(over(t, m))
		if err != nil || !reflect.DeepEqual(got, h) {
			t.Errorf("%+v, %v\nwant %+v", got, err, h)
		}
	}
	w := someWelcome()
	m, err := w.Message()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseWelcome(over(t, m)); err != nil || !reflect.DeepEqual(got, w) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestHelloRefusals(t *testing.T) {
	many := make([]CommandInfo, MaxCommands+1)
	for i := range many {
		many[i].Name = fmt.Sprint(i)
	}
	docs := make([]CommandInfo, 100)
	for i := range docs {
		docs[i] = CommandInfo{Name: "c", Doc: strings.Repeat("d", 1000)}
	}
	for want, change := range map[string]func(*Hello){
		"the hello has no kind":                     func(h *Hello) { h.Kind = "" },
		"'/' at byte 1":                             func(h *Hello) { h.Kind = "a/b" },
		"'@' at byte 1":                             func(h *Hello) { h.AID = "a@b" },
		"the hello's name: the name \"xxx":          func(h *Hello) { h.Name = strings.Repeat("x", 65) },
		"mode is \"parallel\"":                      func(h *Hello) { h.Mode = "parallel" },
		"token has 4097 bytes":                      func(h *Hello) { h.Token = strings.Repeat("x", 4097) },
		"language has 1025 bytes":                   func(h *Hello) { h.Language = strings.Repeat("x", 1025) },
		"17 codecs":                                 func(h *Hello) { h.Codecs = make([]Codec, 17) },
		"pid is -1":                                 func(h *Hello) { h.PID = -1 },
		"1025 commands":                             func(h *Hello) { h.Commands = many },
		"command 0 has no name":                     func(h *Hello) { h.Commands = []CommandInfo{{}} },
		"has 256 bytes, more than 255":              func(h *Hello) { h.Commands = []CommandInfo{{Name: strings.Repeat("x", 256)}} },
		"described with more than 1024":             func(h *Hello) { h.Commands = []CommandInfo{{Name: "a", Doc: strings.Repeat("x", 1025)}} },
		"text that is not UTF-8":                    func(h *Hello) { h.Language = "\xff" },
		"announce fewer commands, or describe":      func(h *Hello) { h.Commands = docs },
		"the name \"\\xff\" has '\uFFFD' at byte 0": func(h *Hello) { h.Name = "\xff" },
	} {
		h := someHello()
		change(h)
		_, err := h.Message()
		if err == nil || !strings.Contains(err.Error(), want) || AsError(err, "").Code != CodeInvalid {
			t.Errorf("sent: %v\nwant %s", err, want)
		}
		// A peer that does not check itself gets no further.
		body, err := handshakeEnc.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseHello(&Message{Kind: KindHello, Codec: CodecCBOR, ID: 1, Millis: 1, Body: body})
		var e *Error
		if len(body) <= MaxHello && !errors.As(err, &e) {
			t.Errorf("taken: %v\nwant %s", err, want)
		}
	}
	good, err := someHello().Message()
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Message){
		"is a request, not a hello":      func(m *Message) { m.Kind = KindRequest },
		"oldest version, 2, is above":    func(m *Message) { m.Millis = 2 },
		"with codec 2":                   func(m *Message) { m.Codec = CodecJSON },
		"extension 128":                  func(m *Message) { m.Ext = AppendExt(nil, 0x80, nil) },
		"the hello cannot be read":       func(m *Message) { m.Body = m.Body[:len(m.Body)-1] },
		"cannot be read: want":           func(m *Message) { m.Body = []byte{0x01} },
		"lists and maps stand more than": func(m *Message) { m.Body = nested(9) },
		"duplicate map key":              func(m *Message) { m.Body = []byte{0xa2, 3, 0x61, 'a', 3, 0x61, 'b'} },
		"field \"9\": want int":          func(m *Message) { m.Body = []byte{0xa1, 9, 0x61, 'a'} },
	} {
		m := good
		change(&m)
		if h, err := ParseHello(&m); err == nil || !strings.Contains(err.Error(), want) || AsError(err, "").Code != CodeProtocol || h != nil {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// What a later version adds to the body is no concern of this one.
func TestHelloOfTheFuture(t *testing.T) {
	body := []byte("\xa2\x03\x61k\x18\xc8\x81\xf6") // {3: "k", 200: [null]}
	h, err := ParseHello(&Message{Kind: KindHello, Codec: CodecCBOR, ID: 99, Millis: 1, Body: body})
	if err != nil || h.Kind != "k" || h.Newest != 99 {
		t.Fatalf("%+v, %v", h, err)
	}
	if v, e := Negotiate(h); e != nil || v != Version {
		t.Errorf("version %d, %v", v, e)
	}

	// One that speaks nothing we do need not even be CBOR.
	h, err = ParseHello(&Message{Kind: KindHello, Codec: 77, ID: 99, Millis: 98, Ext: AppendExt(nil, 0xff, nil), Body: []byte("?")})
	if err != nil || h.Newest != 99 || h.Oldest != 98 {
		t.Fatalf("%+v, %v", h, err)
	}
	_, e := Negotiate(h)
	if e == nil || e.Code != CodeVersion || e.Started != StartedNo ||
		e.Message != "no version in common: the peer speaks versions 98 to 99 of the native protocol, this end version 1" {
		t.Errorf("%v", e)
	}
	// And its peer can read the answer.
	back := ParseError(over(t, e.Frame(KindError, 0)))
	if !reflect.DeepEqual(back, e) {
		t.Errorf("%+v, want %+v", back, e)
	}
	if _, e := Negotiate(&Hello{}); e == nil {
		t.Error("version 0 was taken")
	}
	if h, err := ParseHello(&Message{Kind: KindHello, ID: MaxID, Millis: 1<<32 - 1}); err != nil || h.Newest != 1<<32-1 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestWelcomeRefusals(t *testing.T) {
	good, err := someWelcome().Message()
	if err != nil {
		t.Fatal(err)
	}
	refusal := Errorf(CodeExists, "the name is taken").Frame(KindError, 0)
	for _, tt := range []struct {
		change func(*Message)
		code   Code
		want   string
	}{
		{func(m *Message) { *m = refusal }, CodeExists, "the name is taken"},
		{func(m *Message) { m.Kind = KindReply }, CodeProtocol, "is a reply, not a welcome"},
		{func(m *Message) { m.ID = 2 }, CodeVersion, "chose version 2"},
		{func(m *Message) { m.ID = 0 }, CodeVersion, "chose version 0"},
		{func(m *Message) { m.Codec = CodecRaw }, CodeProtocol, "with codec 3"},
		{func(m *Message) { m.Body = nil }, CodeProtocol, "cannot be read"},
		{func(m *Message) { m.Body = []byte{0xa1, 6, 0x20} }, CodeProtocol, "largest message is -1"},
		{func(m *Message) { m.Ext = []byte{1} }, CodeProtocol, "cut short"},
	} {
		m := good
		tt.change(&m)
		if w, err := ParseWelcome(&m); err == nil || w != nil || AsError(err, "").Code != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v\nwant %s %s", err, tt.code, tt.want)
		}
	}
}

func TestErrorRoundTrip(t *testing.T) {
	for _, code := range Codes {
		for _, started := range []Started{StartedUnknown, StartedNo, StartedYes} {
			e := &Error{
				Code: code, Started: started, Message: "it did not work", App: "E_SOME", Target: "tally", Command: "add",
				Path: []string{"a", "b"}, Death: &Death{Cause: CauseExit, Reason: "r", ExitCode: 3, Signal: "s", PID: 9, Stderr: []string{"x", "y"}},
			}
			for _, kind := range []Kind{KindError, KindUndelivered} {
				m := over(t, e.Frame(kind, 12))
				if got := ParseError(m); m.Kind != kind || m.ID != 12 || !reflect.DeepEqual(got, e) {
					t.Errorf("%v %d: %+v\nwant %+v", kind, m.ID, got, e)
				}
			}
		}
		bare := &Error{Code: code}
		if m := over(t, bare.Frame(KindError, 1)); len(m.Body) != 0 || !reflect.DeepEqual(ParseError(m), bare) {
			t.Errorf("%s alone has a body of %d bytes", code, len(m.Body))
		}
	}
}

func TestErrorIsAlwaysTold(t *testing.T) {
	e := &Error{
		Code: "", Message: strings.Repeat("ü", maxReportText) + "\xff", App: strings.Repeat("a", 999) + "\xfe", Target: "\xff",
		Path:  slices.Repeat([]string{"\xff" + strings.Repeat("p", 5000)}, 500),
		Death: &Death{Cause: "\xff", Stderr: append(slices.Repeat([]string{"\xff" + strings.Repeat("l", 5000)}, 500), "the last")},
	}
	m := e.Frame(KindError, 1)
	if err := CheckCBOR(m.Body, reportLimits); err != nil {
		t.Fatal(err)
	}
	if !m.Fits() || m.Size() > 256<<10 {
		t.Errorf("%d bytes", m.Size())
	}
	got := ParseError(over(t, m))
	if got.Code != CodeApp || !strings.HasSuffix(got.Message, "ü…") || len(got.Path) != maxReportLines {
		t.Errorf("%s %.20q…%q", got.Code, got.Message, got.Message[len(got.Message)-8:])
	}
	if n := len(got.Death.Stderr); n != maxReportLines || got.Death.Stderr[n-1] != "the last" {
		t.Errorf("%d lines of stderr", n)
	}
	if len(e.Path) != 500 || len(e.Death.Stderr) != 501 {
		t.Error("telling an error changed it")
	}
}

func TestErrorFromElsewhere(t *testing.T) {
	for _, tt := range []struct {
		m    Message
		want Error
	}{
		{Message{Command: []byte("from_the_future")}, Error{Code: CodeApp, App: "from_the_future"}},
		{Message{Command: []byte("f\xff")}, Error{Code: CodeApp, App: "f\uFFFD"}},
		{Message{Command: []byte("future"), Codec: CodecCBOR, Body: []byte("\xa1aaax")}, Error{Code: CodeApp, App: "x"}},
		{Message{}, Error{Code: CodeProtocol}},
		{Message{Command: []byte("down"), Flags: FlagStarted | FlagNotStarted}, Error{Code: CodeDown}},
		{Message{Command: []byte("down"), Flags: FlagStarted | 0x80}, Error{Code: CodeDown, Started: StartedYes}},
		{Message{Command: []byte("down"), Codec: CodecJSON, Body: []byte("{}")}, Error{Code: CodeDown}},
	} {
		if got := ParseError(&tt.m); !reflect.DeepEqual(got, &tt.want) {
			t.Errorf("%+v: %+v, want %+v", tt.m, got, tt.want)
		}
	}
	for _, body := range []string{"", "?", "\x01", "\xa1amx", "\xa1am\x01", "\xa2amaaamab", "\xbf\xff", string(nested(2000))} {
		got := ParseError(&Message{Command: []byte("overloaded"), Codec: CodecCBOR, Flags: FlagNotStarted, Body: []byte(body)})
		if got.Code != CodeOverloaded || got.Started != StartedNo || !strings.HasPrefix(got.Message, "the details of the error could not be read") {
			t.Errorf("%.20q: %+v", body, got)
		}
	}
}

func TestDeathRoundTrip(t *testing.T) {
	d := &Death{Cause: CauseSignal, Reason: "out of patience", Signal: "killed", PID: 7, Stderr: []string{"a"}}
	for _, kind := range []Kind{KindDown, KindGoodbye} {
		m := over(t, d.Message(kind, 5))
		if got := ParseDeath(m); m.ID != 5 || m.Kind != kind || !reflect.DeepEqual(got, d) {
			t.Errorf("%+v", got)
		}
	}
	for _, tt := range []struct {
		m    Message
		want Cause
	}{
		{Message{Kind: KindGoodbye}, CauseStopped},
		{Message{Kind: KindDown}, CauseConnection},
		{Message{Kind: KindDown, Codec: CodecCBOR, Body: []byte("\xa0")}, CauseConnection},
		{Message{Kind: KindDown, Codec: CodecCBOR, Body: []byte("\xa1ac\x01")}, CauseConnection},
		{Message{Kind: KindGoodbye, Codec: CodecCBOR, Body: []byte("\xa1acdrust")}, "rust"},
	} {
		if got := ParseDeath(&tt.m); got.Cause != tt.want {
			t.Errorf("%+v: %+v", tt.m, got)
		}
	}
}

// What is told of an end is bounded, whoever has written it: it is kept of a thousand.
func TestDeathIsBounded(t *testing.T) {
	long := strings.Repeat("r", 900_000)
	for _, d := range []Death{
		{Cause: CauseStopped, Reason: long},
		{Cause: Cause(long)},
		{Signal: long},
		{Stderr: []string{"the first", long, "the last"}},
		{Stderr: append(slices.Repeat([]string{""}, 20_000), "the last")},
	} {
		body, err := handshakeEnc.Marshal(&d)
		if err != nil {
			t.Fatal(err)
		}
		got := ParseDeath(&Message{Kind: KindGoodbye, Codec: CodecCBOR, Body: body})
		n := len(got.Cause) + len(got.Reason) + len(got.Signal)
		for _, line := range got.Stderr {
			n += len(line)
		}
		if n > maxReportText+100 || len(got.Stderr) > maxReportLines {
			t.Errorf("of %.20q it has %d bytes, and %d lines", body, n, len(got.Stderr))
		}
		if len(d.Stderr) > 0 && got.Stderr[len(got.Stderr)-1] != "the last" {
			t.Errorf("of %d lines the last one is not told", len(d.Stderr))
		}
	}
}

func TestDeathInWords(t *testing.T) {
	for want, d := range map[string]Death{
		`exited with code 3; last line: "no such table"`: {Cause: CauseExit, ExitCode: 3, Stderr: []string{"x", "no such table"}},
		`was ended by signal "killed"`:                   {Cause: CauseSignal, Signal: "killed"},
		`panicked: nil map`:                              {Cause: CausePanic, Reason: "nil map"},
		`ended (rust)`:                                   {Cause: "rust"},
	} {
		if got := d.String(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestValidName(t *testing.T) {
	for _, s := range []string{"a", "tally", "A-Z_a.z-0", strings.Repeat("x", 64), "..", "-"} {
		if err := ValidName(s); err != nil {
			t.Error(err)
		}
	}
	for s, want := range map[string]string{
		"":                      "the name is empty",
		strings.Repeat("x", 65): "has 65 bytes, more than 64",
		"pool/1":                "kept for the slots of a pool",
		"a@node":                "kept for the names of nodes",
		"a b":                   "has ' ' at byte 1",
		"grün":                  "has 'ü' at byte 2",
		"a\x00":                 `has '\x00' at byte 1`,
	} {
		if err := ValidName(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"add", "tally", "reset", "Counter", "multiply", "stop", "", strings.Repeat("x", 300)}
	for name, want := range map[string]string{
		"tali": "tally", "atd": "add", "dad": "add", "rest": "reset", "counter": "Counter", "multiplyer": "multiply", "mutliply": "multiply",
		"hop": "", "adn": "add", "rset": "reset", "zzzzz": "", "": "", "xy": "", "tally": "", strings.Repeat("x", 299): "",
	} {
		if got := Nearest(name, slices.Values(names)); got != want {
			t.Errorf("%.20q: %q, want %q", name, got, want)
		}
	}
	// Equally near: always the same one, whatever the order.
	if a, b := Nearest("cot", slices.Values([]string{"cat", "cut"})), Nearest("cot", slices.Values([]string{"cut", "cat"})); a != "cat" || b != "cat" {
		t.Errorf("%q %q", a, b)
	}
}

// An error in short has room wherever one has: it says what happened, to whom, and how it began.
func TestBrief(t *testing.T) {
	short := &Error{Code: CodeDown, Started: StartedNo, Message: "it panicked", Target: "tally", Command: "add", Death: &Death{Cause: CausePanic, Reason: "r", PID: 7, Final: true}}
	if got := short.Brief(); !reflect.DeepEqual(got, short) {
		t.Errorf("%+v is %+v", short, got)
	}
	for _, s := range []string{strings.Repeat("x", 5000), strings.Repeat("ü", 2000), strings.Repeat("\xffx", 2000)} {
		lines := slices.Repeat([]string{s}, 100)
		e := &Error{Code: CodeUnknownCommand, Started: StartedNo, Message: s, App: s, Target: s, Command: s, Path: lines,
			Death: &Death{Cause: Cause(s), Reason: s, ExitCode: math.MaxInt, Signal: s, PID: math.MaxInt, Stderr: lines, Final: true}}
		m := e.Brief().Frame(KindUndelivered, MaxID)
		if m.Size() > MaxBrief {
			t.Errorf("%.5q: %d bytes", s, m.Size())
		}
		if got := ParseError(over(t, m)); got.Code != e.Code || got.Started != StartedNo || len(got.Message) < 200 || got.Death == nil {
			t.Errorf("%.5q: %+v", s, got)
		}
		if e.Message != s || len(e.Death.Stderr) != 100 {
			t.Error("it was changed itself")
		}
	}
}

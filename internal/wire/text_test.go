package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func text(t *testing.T, s string) *Text {
	t.Helper()
	x, err := ParseText([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return x
}

func TestTextHello(t *testing.T) {
	h, err := text(t, ` {"command" : "hello","kind":"calculator","commands":["add",{"name":"log","ack":false,"doc":"writes a line"}],
		"version":7,"token":"t\u00fc","name":"n","aid":"a","mode":"serial","ready":false,"calls":true,"pid":12,"language":"js","color":null,"x":[{}]}`).Hello()
	if err != nil {
		t.Fatal(err)
	}
	want := Hello{
		Newest: 7, Oldest: 1, Kind: "calculator", Token: "tü", Name: "n", AID: "a", Mode: "serial", Client: true, PID: 12, Language: "js",
		Commands: []CommandInfo{{Name: "add", Ack: true}, {Name: "log", Doc: "writes a line"}}, Codecs: []Codec{CodecCBOR},
	}
	if !reflect.DeepEqual(h.Hello, want) || h.Ready {
		t.Errorf("got  %+v, ready: %v\nwant %+v", h.Hello, h.Ready, want)
	}
	if h, err := text(t, `{"command":"hello","kind":"x"}`).Hello(); err != nil || !h.Ready || h.Mode != "concurrent" || h.Newest != 1 {
		t.Errorf("the least hello: %+v, %v", h, err)
	}
	for s, says := range map[string]string{
		`{"command":"hi","kind":"x"}`:                            "not a hello",
		`{"command":"hello","target":"x","kind":"x"}`:            "not a hello",
		`{"command":"hello"}`:                                    "kind",
		`{"command":"hello","kind":["x"]}`:                       "kind is a list",
		`{"command":"hello","kind":"x","pid":"12"}`:              "pid",
		`{"command":"hello","kind":"x","pid":1.5}`:               "pid",
		`{"command":"hello","kind":"x","ready":"yes"}`:           "ready",
		`{"command":"hello","kind":"x","commands":{"add":1}}`:    "commands",
		`{"command":"hello","kind":"x","commands":[{"doc":""}]}`: "commands",
		`{"command":"hello","kind":"x","token":"\ud800"}`:        "surrogate",
		`{"command":"hello","kind":"x","y":{"a":1,"a":2}}`:       "twice",
	} {
		if _, err := text(t, s).Hello(); err == nil || !strings.Contains(err.Message, says) {
			t.Errorf("%s: %v, want one that says %q", s, err, says)
		}
	}
}

// An error keeps what it says, both ways; what it does not say is as the contract has it.
func TestTextErrors(t *testing.T) {
	for s, want := range map[string]Error{
		`{"message":"no"}`:                                {Code: CodeApp, Message: "no", Started: StartedYes},
		`{"code":"mine","message":"no"}`:                  {Code: CodeApp, App: "mine", Message: "no", Started: StartedYes},
		`{"code":"mine","app":"other","message":"no"}`:    {Code: CodeApp, App: "other", Message: "no", Started: StartedYes},
		`{"code":"unknown_command","message":"no"}`:       {Code: CodeUnknownCommand, Message: "no", Started: StartedNo},
		`{"code":"overloaded","message":"no"}`:            {Code: CodeOverloaded, Message: "no"},
		`{"code":"canceled","message":"","started":true}`: {Code: CodeCanceled, Message: "it gave no reason", Started: StartedYes},
		`"no"`: {Code: CodeApp, Message: "no", Started: StartedYes},
		`5`:    {Code: CodeApp, Message: "it gave no reason", Started: StartedYes},
		`{"code":"cycle","message":"no","path":["a",1,"b"],"target":"t","command":"c"}`: {Code: CodeCycle, Message: "no", Path: []string{"a", "b"}, Target: "t", Command: "c", Started: StartedNo},
		`{"code":"down","message":"no","started":false,"death":{"cause":"exit","code":3,"pid":7,"stderr":["x"],"final":true,"signal":"s","reason":"r"}}`: {Code: CodeDown, Message: "no", Started: StartedNo,
			Death: &Death{Cause: CauseExit, ExitCode: 3, PID: 7, Stderr: []string{"x"}, Final: true, Signal: "s", Reason: "r"}},
	} {
		got := text(t, `{"command":"callback","ack":"1","error":`+s+`}`).Error()
		if got == nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, want %+v", s, got, want)
			continue
		}
		again := text(t, string(AppendTextFailure(nil, got, "1")))
		if e := again.Error(); again.Ack != "1" || !reflect.DeepEqual(*e, want) && want.Started != StartedUnknown {
			t.Errorf("%s comes back as %+v", s, e)
		}
	}
	if e := text(t, `{"command":"callback","ack":"1","error":null,"result":1}`).Error(); e != nil {
		t.Errorf("no error is %v", e)
	}
}

// A heartbeat's milliseconds are nanoseconds of the native one; what is not of its
// type is left out.
func TestTextInfo(t *testing.T) {
	m := text(t, `{"command":"notify","info":{"inbox":3,"since":1.5,"cpu":2,"rss":-1,"accepted":"x","handling":"add","extra":{"$x":1}}}`).Info(9)
	var got map[string]any
	if err := Decode(m.Codec, m.Body, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"pid": int64(9), "inbox": int64(3), "since": int64(1_500_000), "cpu": int64(2_000_000), "handling": "add", "extra": map[string]any{"$x": int64(1)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if m := text(t, `{"command":"notify"}`).Info(0); m.Codec != CodecNone || len(m.Body) != 0 {
		t.Errorf("nothing is %+v", m)
	}
}

// A request is written as it is read.
func TestTextRequest(t *testing.T) {
	for _, s := range []string{
		`{"command":"add","target":"tally","ack":"7","timeout":30000}`,
		`{"command":"add","target":"tally","args":[1,"x"],"ack":"7","timeout":5}`,
		`{"command":"add","target":"tally","kwargs":{"$set":[1],"b":{"$set":[1]}},"ack":"7","timeout":5}`,
		`{"command":"log","target":"tally","args":[[]],"kwargs":{"a":1.0}}`,
	} {
		x := text(t, s)
		r, err := x.Request(Limits{})
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		m := Message{Kind: KindRequest, Target: []byte(x.Target), Command: []byte(x.Command), Millis: r.Millis, Codec: r.Codec, Body: r.Body}
		if r.Args {
			m.Flags |= FlagArgs
		}
		got, err := AppendTextRequest(nil, &m, x.Ack, Limits{})
		if err != nil || string(got) != s {
			t.Errorf("got  %s, %v\nwant %s", got, err, s)
		}
	}
	// The one argument of a native caller, and one that is no CBOR.
	for _, test := range []struct {
		m    Message
		want string
	}{
		{Message{Codec: CodecCBOR, Body: []byte{5}}, `"args":[5]`},
		{Message{Codec: CodecRaw, Body: []byte{1, 2}}, `"args":[{"$bytes":"AQI="}]`},
		{Message{Codec: CodecJSON, Body: []byte(`[[{"$set": 1}],{"k": 2}]`), Flags: FlagArgs}, `"args":[{"$map":[["$set",1]]}],"kwargs":{"k":2}`},
	} {
		test.m.Command, test.m.Target = []byte("c"), []byte("t")
		got, err := AppendTextRequest(nil, &test.m, "", Limits{})
		if want := `{"command":"c","target":"t",` + test.want + `}`; err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}

// FuzzText: whatever a peer types, it is read or refused, and what was read is
// written as JSON.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		`{"command":"hello","kind":"x","commands":["a",{"name":"b"}]}`, `{"command":"add","target":"t","args":[1],"kwargs":{"a":{"$set":[]}},"ack":"1","timeout":5,"parent":"1","turn":true}`,
		`{"command":"callback","ack":"1","error":{"code":"app","path":["a"],"death":{"cause":"exit","code":3,"stderr":["a"]}},"result":1}`, `{"command":"notify","info":{"inbox":1,"extra":{"a":1}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseText(b)
		if err != nil {
			return
		}
		l := Limits{Depth: 20, Memory: 1 << 20, IntBytes: 64}
		if h, err := x.Hello(); err == nil {
			if _, err := h.Message(); err != nil {
				t.Logf("%s: %v", b, err)
			}
		}
		if e := x.Error(); e != nil {
			m := e.Frame(KindError, 1)
			if out := AppendTextFailure(nil, ParseError(&m), "1"); !json.Valid(out) {
				t.Fatalf("%s became %s", b, out)
			}
		}
		if out := AppendTextGoodbye(nil, x.Death()); !json.Valid(out) {
			t.Fatalf("%s became %s", b, out)
		}
		if m := x.Info(3); !m.Fits() || CheckCBOR(m.Body, Limits{}) != nil {
			t.Fatalf("%s became %x", b, m.Body)
		}
		if body, err := x.Result(l); err == nil && CheckCBOR(body, l) != nil {
			t.Fatalf("%s became %x", b, body)
		}
		if r, err := x.Request(l); err == nil && r.Codec != CodecNone {
			if _, _, err := SplitArgs(r.Codec, r.Body); err != nil {
				t.Fatalf("%s became %x: %v", b, r.Body, err)
			}
		}
	})
}

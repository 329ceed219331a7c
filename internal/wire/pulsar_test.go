package wire

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"math/big"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/pickle"
)

// capturedPulsar returns the payloads captured from real actors, by name.
func capturedPulsar(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open("../pickle/testdata/frames.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(h.Name, ".bin") {
			_, n, err := frame.ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			all[h.Name] = b[n:]
		}
	}
}

// TestPulsarFrames takes every captured message apart and makes it again: what comes of
// it is the same message, and no byte of it is the captured one's.
func TestPulsarFrames(t *testing.T) {
	all := capturedPulsar(t)
	if len(all) < 600 {
		t.Fatalf("%d frames", len(all))
	}
	for name, payload := range all {
		m, err := ParsePulsar(payload)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameAsRead(t, payload, m, nil)
		if ack, callback, ok := PulsarAck(payload); ack != m.Ack || ok != (m.Ack != "") || ok && callback != m.Callback {
			t.Errorf("%s: its ack is %q (callback: %v), found %q (%v)", name, m.Ack, m.Callback, ack, callback)
		}
		var again []byte
		if m.Callback {
			body, err := m.AppendResult(nil, CodecPickle)
			if err == nil {
				again, err = AppendPulsarCallback(nil, m.Ack, CodecPickle, body)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
		} else {
			body, err := m.AppendArgs(nil, CodecPickle)
			if err == nil {
				r := PulsarRequest{Command: m.Command, ID: "m1", Sender: m.Sender, Target: m.Target, Ack: m.Ack, Codec: CodecPickle, Args: true, Body: body}
				again, err = r.Append(nil)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
		}
		n, err := ParsePulsar(again)
		if err != nil {
			t.Errorf("%s: made again it cannot be read: %v", name, err)
			continue
		}
		if m.Command != n.Command || m.Sender != n.Sender || m.Target != n.Target || m.Ack != n.Ack || m.Callback != n.Callback {
			t.Errorf("%s: %+v came as %+v", name, m, n)
		}
		// The values are compared by their pickles.
		want, err1 := encodePickle(nil, value(m))
		got, err2 := encodePickle(nil, value(n))
		if err1 != nil || err2 != nil || !bytes.Equal(want, got) {
			t.Errorf("%s: its values changed (%v, %v)", name, err1, err2)
		}
	}
}

// sameAsRead holds a PulsarReader to ParsePulsar, which has made want or failed of b.
func sameAsRead(t *testing.T, b []byte, want *PulsarMessage, failed error) {
	t.Helper()
	var r PulsarReader
	for range 2 { // the second finds what the first one left
		m, err := r.Parse(b)
		if (err == nil) != (failed == nil) {
			t.Fatalf("read by a reader: %v, else %v\n%q", err, failed, b)
		}
		if err != nil {
			return
		}
		if m.Command != want.Command || m.Sender != want.Sender || m.Target != want.Target || m.Ack != want.Ack || m.Callback != want.Callback {
			t.Fatalf("%+v was read as %+v", want, m)
		}
		write := (*PulsarMessage).AppendArgs
		if m.Callback {
			write = (*PulsarMessage).AppendResult
		}
		for _, c := range []Codec{CodecPickle, CodecCBOR} { // after which it has its values
			one, err1 := write(m, nil, c)
			two, err2 := write(want, nil, c)
			if c == CodecPickle && err1 == nil && err2 == nil && !bytes.Equal(one, two) {
				one, two = writtenAnew(t, one), writtenAnew(t, two) // what is not as CPython writes it
			}
			if (err1 == nil) != (err2 == nil) || !bytes.Equal(one, two) {
				t.Fatalf("its body is %q, %v; want %q, %v\n%q", one, err1, two, err2, b)
			}
		}
	}
}

// writtenAnew returns what is written of what b means. Which of its texts that are the same are one
// object does not matter, since they cannot be changed: they all are.
func writtenAnew(t *testing.T, b []byte) []byte {
	v, err := decodePickle(b)
	if err == nil {
		b, err = encodePickle(nil, interning{}.value(v))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// interning makes one object of texts that are the same, and of bytes.
type interning map[pickle.Value]pickle.Value

// value returns v with its texts and bytes interned. It visits each container once.
func (in interning) value(v pickle.Value) pickle.Value {
	switch v := v.(type) {
	case pickle.Str, pickle.Bytes:
		if one, ok := in[v]; ok {
			return one
		}
		in[v] = v
		return v
	case nil, pickle.None, pickle.Bool, pickle.Int, pickle.Float, pickle.Big:
		return v
	}
	if _, ok := in[v]; ok {
		return v
	}
	in[v] = v
	all := func(items []pickle.Value) {
		for i := range items {
			items[i] = in.value(items[i])
		}
	}
	pairs := func(pairs []pickle.Pair) {
		for i, p := range pairs {
			pairs[i] = pickle.Pair{Key: in.value(p.Key), Value: in.value(p.Value)}
		}
	}
	switch v := v.(type) {
	case *pickle.List:
		all(v.Items)
	case *pickle.Tuple:
		all(v.Items)
	case *pickle.Set:
		all(v.Items)
	case *pickle.Deque:
		all(v.Items)
	case *pickle.Dict:
		pairs(v.Pairs)
		v.State = in.value(v.State)
	case *pickle.Object:
		v.Class = in.value(v.Class)
		if v.Args != nil {
			in.value(v.Args)
		}
		all(v.Items)
		pairs(v.Pairs)
		v.State = in.value(v.State)
	}
	return v
}

func value(m *PulsarMessage) pickle.Value {
	if m.Callback {
		return m.result
	}
	return &pickle.Tuple{Items: []pickle.Value{m.args, m.kwargs}}
}

// TestPulsarKeyOrder is the order in which pulsar writes the keys, which a reader of
// pulsar's own logs expects.
func TestPulsarKeyOrder(t *testing.T) {
	r := PulsarRequest{Command: "ping", ID: "m1", Sender: "a", Target: "b", Ack: "c7"}
	b, err := r.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := pickle.Decode(b, pickle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, p := range v.(*pickle.Dict).Pairs {
		keys = append(keys, string(p.Key.(pickle.Str)))
	}
	if got := strings.Join(keys, " "); got != "command id sender target args kwargs ack" {
		t.Errorf("the keys are %s", got)
	}
	if b, err = AppendPulsarCallback(nil, "i1", CodecNone, nil); err != nil {
		t.Fatal(err)
	}
	if v, err = pickle.Decode(b, pickle.Limits{}); err != nil {
		t.Fatal(err)
	}
	keys = nil
	for _, p := range v.(*pickle.Dict).Pairs {
		keys = append(keys, string(p.Key.(pickle.Str)))
	}
	if got := strings.Join(keys, " "); got != "command result ack" {
		t.Errorf("the keys of a callback are %s", got)
	}
}

// TestPythonValues is what values of Python are to others, and back.
func TestPythonValues(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 100)
	utc := time.FixedZone("", 3600)
	for _, c := range []struct {
		name string
		in   pickle.Value
		want any
		back pickle.Value // nil: in again
	}{
		{"None", pickle.None{}, nil, nil},
		{"True", pickle.Bool(true), true, nil},
		{"an int", pickle.Int(-7), int64(-7), nil},
		{"2**63", pickle.Big{Int: new(big.Int).Lsh(big.NewInt(1), 63)}, new(big.Int).Lsh(big.NewInt(1), 63), nil},
		{"2**100", pickle.Big{Int: huge}, huge, nil},
		{"-2**64", pickle.Big{Int: new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 64))}, new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 64)), nil},
		{"-2**100", pickle.Big{Int: new(big.Int).Neg(huge)}, new(big.Int).Neg(huge), nil},
		{"a float", pickle.Float(1.5), 1.5, nil},
		{"inf", pickle.Float(math.Inf(1)), math.Inf(1), nil},
		{"a str", pickle.Str("hé"), "hé", nil},
		{"bytes", pickle.Bytes("\xff\x00"), []byte{0xff, 0}, nil},
		{"a list", &pickle.List{Items: []pickle.Value{pickle.Int(1), pickle.Str("a")}}, []any{int64(1), "a"}, nil},
		{"a tuple", &pickle.Tuple{Items: []pickle.Value{pickle.Int(1)}}, []any{int64(1)}, &pickle.List{Items: []pickle.Value{pickle.Int(1)}}},
		{"a dict", &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Str("a"), Value: pickle.Int(1)}}}, map[string]any{"a": int64(1)}, nil},
		{"a dict by numbers", &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Int(3), Value: pickle.Int(1)}}}, map[any]any{int64(3): int64(1)}, nil},
		{"a key twice", &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Int(1), Value: pickle.Int(1)}, {Key: pickle.Float(1), Value: pickle.Int(2)}}},
			map[any]any{int64(1): int64(2)}, &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Int(1), Value: pickle.Int(2)}}}},
		{"a set", &pickle.Set{Items: []pickle.Value{pickle.Int(2)}}, []any{int64(2)}, nil},
		{"a datetime", &pickle.DateTime{Date: pickle.Date{Year: 2026, Month: 1, Day: 2}, Time: pickle.Time{Hour: 3, Minute: 4, Second: 5, Microsecond: 6, Zone: &pickle.Zone{Offset: pickle.Delta{Seconds: 3600}}}},
			time.Date(2026, 1, 2, 3, 4, 5, 6000, utc), nil},
		{"one west of Greenwich", &pickle.DateTime{Date: pickle.Date{Year: 1, Month: 1, Day: 2}, Time: pickle.Time{Zone: &pickle.Zone{Offset: pickle.Delta{Days: -1, Seconds: 86400 - 5*3600}}}},
			time.Date(1, 1, 2, 0, 0, 0, 0, time.FixedZone("", -5*3600)), nil},
		{"a naive datetime", &pickle.DateTime{Date: pickle.Date{Year: 2026, Month: 1, Day: 2}, Time: pickle.Time{Hour: 3}}, "2026-01-02T03:00:00", pickle.Str("2026-01-02T03:00:00")},
		{"a date", &pickle.Date{Year: 2026, Month: 1, Day: 2}, "2026-01-02", pickle.Str("2026-01-02")},
		{"a timedelta", &pickle.Delta{Days: 1, Seconds: 1, Microseconds: 500000}, 86401.5, pickle.Float(86401.5)},
		{"a Decimal", &pickle.Decimal{Text: "1.10"}, "1.10", pickle.Str("1.10")},
		{"an ActorProxy", &pickle.Ref{AID: "a", Name: "n"}, map[string]any{"aid": "a", "name": "n"},
			&pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Str("aid"), Value: pickle.Str("a")}, {Key: pickle.Str("name"), Value: pickle.Str("n")}}}},
	} {
		b, err := appendPython(nil, c.in, 0)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var v any
		if err := Decode(CodecCBOR, b, &v); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if at, ok := v.(time.Time); ok {
			if w, ok := c.want.(time.Time); !ok || !at.Equal(w) {
				t.Errorf("%s is %v, want %v", c.name, at, c.want)
			}
		} else if !reflect.DeepEqual(v, c.want) {
			t.Errorf("%s is %#v, want %#v", c.name, v, c.want)
		}
		back, err := pythonOf(CodecCBOR, b)
		if err != nil {
			t.Errorf("%s, back: %v", c.name, err)
			continue
		}
		want := c.back
		if want == nil {
			want = c.in
		}
		w, _ := encodePickle(nil, want)
		g, _ := encodePickle(nil, back)
		if !bytes.Equal(w, g) {
			t.Errorf("%s came back as %q, want %q", c.name, g, w)
		}
	}
	id := pickle.UUID{1, 2, 3}
	b, err := appendPython(nil, &id, 0)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := pythonOf(CodecCBOR, b); err != nil || *back.(*pickle.UUID) != id {
		t.Errorf("a UUID came back as %v, %v", back, err)
	}
}

// TestPythonNoImage is what others cannot be told, and the place of it.
func TestPythonNoImage(t *testing.T) {
	self := &pickle.List{}
	self.Items = []pickle.Value{self}
	wide := pickle.Value(&pickle.List{Items: []pickle.Value{pickle.Str(strings.Repeat("x", 1000))}})
	for range 30 {
		wide = &pickle.Tuple{Items: []pickle.Value{wide, wide}}
	}
	for _, c := range []struct {
		name  string
		v     pickle.Value
		code  Code
		field string
	}{
		{"a surrogate", pickle.Str("\xed\xa0\x80"), CodeNotEncodable, "args[0]"},
		{"a global", &pickle.Global{Module: "os", Name: "system"}, CodeNotEncodable, "args[0]"},
		{"an object in a list", &pickle.List{Items: []pickle.Value{pickle.Int(1), &pickle.Object{Class: &pickle.Global{Module: "os", Name: "system"}, Args: &pickle.Tuple{}}}}, CodeNotEncodable, "args[0][1]"},
		{"in a dict", &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Str("k"), Value: &pickle.Complex{}}}}, CodeNotEncodable, "args[0].k"},
		{"a tuple as a key", &pickle.Dict{Pairs: []pickle.Pair{{Key: &pickle.Tuple{}, Value: pickle.Int(1)}}}, CodeNotEncodable, "args[0]"},
		{"a list that holds itself", self, CodeNotEncodable, ""},
		{"a thing shared a billion times", wide, CodeTooLarge, ""},
	} {
		_, err := appendArgs(nil, &pickle.Tuple{Items: []pickle.Value{c.v}}, &pickle.Dict{})
		var f *FieldError
		if !errors.As(err, &f) || f.Code != c.code || c.field != "" && f.Field != c.field {
			t.Errorf("%s: %#v", c.name, err)
		}
	}
}

// TestPulsarProxyHeld is an ActorProxy as CPython pickles one that an actor holds: as an object
// of its class, where the arbiter's is made by a function. Its configuration is one as well.
func TestPulsarProxyHeld(t *testing.T) {
	text := func(s string) string { return textOpcode(s) }
	held := "cpulsar.async.proxy\nActorProxy\n)\x81}(" + text("aid") + text("a3") + text("name") + text("x") +
		text("cfg") + "cpulsar.utils.config\nConfig\n)\x81}" + text("settings") + "}sb" + text("address") + text("127.0.0.1") + "K\x01\x86ub"
	whole := func(args string) []byte {
		return []byte("\x80\x02}q\x00(" + text("command") + text("kill_actor") + text("sender") + text("a1") + text("target") + text("arbiter") +
			text("args") + args + text("kwargs") + "}u.")
	}
	m, err := ParsePulsar(whole(held + "]" + held + "a\x86"))
	if err != nil {
		t.Fatal(err)
	}
	if aid, ok := m.Text(0, "aid"); aid != "a3" || !ok {
		t.Errorf("pulsar takes it for its aid, and its aid is %q", aid)
	}
	b, err := m.AppendArgs(nil, CodecCBOR)
	if err != nil {
		t.Fatal(err)
	}
	args, _, err := SplitArgs(CodecCBOR, b)
	if err != nil || len(args) != 2 {
		t.Fatalf("%d arguments, %v", len(args), err)
	}
	ref := map[string]any{"aid": "a3", "name": "x"}
	for i, want := range []any{ref, []any{ref}} {
		var v any
		if err := Decode(CodecCBOR, args[i], &v); err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("it is %v, %v; want %v", v, err, want)
		}
	}
	// One that only looks like it is an object like any other.
	for what, other := range map[string]string{
		"another class":  strings.Replace(held, "ActorProxy", "ActorProxyMonitor", 1),
		"no aid":         strings.Replace(held, text("aid"), text("aix"), 1),
		"an aid of None": strings.Replace(held, text("a3"), "N", 1),
	} {
		if m, err = ParsePulsar(whole(other + "\x85")); err != nil {
			t.Fatal(err)
		}
		if _, err := m.AppendArgs(nil, CodecCBOR); err == nil || !strings.Contains(err.Error(), "an object of Python") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestPulsarRefused is what is no message.
func TestPulsarRefused(t *testing.T) {
	whole := func(pairs ...pickle.Pair) []byte {
		b, err := encodePickle(nil, &pickle.Dict{Pairs: pairs})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pair := func(k string, v pickle.Value) pickle.Pair { return pickle.Pair{Key: pickle.Str(k), Value: v} }
	args, kwargs := pair("args", &pickle.Tuple{}), pair("kwargs", &pickle.Dict{})
	command, sender, target := pair("command", pickle.Str("ping")), pair("sender", pickle.Str("a")), pair("target", pickle.Str("b"))
	if _, err := ParsePulsar(whole(command, sender, target, args, kwargs)); err != nil {
		t.Fatalf("a message: %v", err)
	}
	for name, b := range map[string][]byte{
		"nothing":           {},
		"text":              []byte("hello"),
		"no dict":           []byte("\x80\x02N."),
		"no command":        whole(sender, target, args, kwargs),
		"no sender":         whole(command, target, args, kwargs),
		"no target":         whole(command, sender, args, kwargs),
		"no args":           whole(command, sender, target, kwargs),
		"no kwargs":         whole(command, sender, target, args),
		"a command twice":   whole(command, sender, target, args, kwargs, pair("command", pickle.Str("run"))),
		"an unknown twice":  whole(command, sender, target, args, kwargs, pair("x", pickle.None{}), pair("x", pickle.None{})),
		"bytes as a key":    whole(command, sender, target, args, kwargs, pickle.Pair{Key: pickle.Bytes("ack"), Value: pickle.Str("i")}),
		"half a pair":       whole(command, sender, pair("target", pickle.Str("\xed\xa0\x80")), args, kwargs),
		"in its command":    whole(pair("command", pickle.Str("\xed\xa0\x80")), sender, target, args, kwargs),
		"a number as ack":   whole(command, sender, target, args, kwargs, pair("ack", pickle.Int(1))),
		"a long ack":        whole(command, sender, target, args, kwargs, pair("ack", pickle.Str(strings.Repeat("i", 256)))),
		"a list as args":    whole(command, sender, target, pair("args", &pickle.List{}), kwargs),
		"a number as kwarg": whole(command, sender, target, args, pair("kwargs", &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Int(1), Value: pickle.Int(1)}}})),
		"a kwarg twice": whole(command, sender, target, args, pair("kwargs", &pickle.Dict{Pairs: []pickle.Pair{
			pair("a", pickle.Int(1)), pair("a", pickle.Int(2)),
		}})),
		"a callback without an ack":   whole(pair("command", pickle.Str("callback")), pair("result", pickle.None{})),
		"a callback without a result": whole(pair("command", pickle.Str("CALLBACK")), pair("ack", pickle.Str("i"))),
	} {
		m, err := ParsePulsar(b)
		if err == nil {
			t.Errorf("%s was taken: %+v", name, m)
		}
		sameAsRead(t, b, m, err)
	}
}

// FuzzPulsar reads whatever may come: what is taken can be made again, and means the
// same then.
func FuzzPulsar(f *testing.F) {
	for name, b := range capturedPulsar(f) {
		if len(b) < 4<<10 && strings.HasPrefix(name, "v202/") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		PulsarAck(b)
		m, err := ParsePulsar(b)
		sameAsRead(t, b, m, err)
		if err != nil {
			return
		}
		if m.Callback {
			if body, err := m.AppendResult(nil, CodecCBOR); err == nil {
				if err := CheckCBOR(body, Limits{Memory: math.MaxInt}); err != nil {
					t.Fatalf("a result that cannot be read: %v", err)
				}
			}
			return
		}
		m.Notified()
		body, err := m.AppendArgs(nil, CodecPickle)
		if err != nil {
			return
		}
		r := PulsarRequest{Command: m.Command, ID: "m1", Sender: m.Sender, Target: m.Target, Ack: m.Ack, Codec: CodecPickle, Args: true, Body: body}
		again, err := r.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ParsePulsar(again)
		if err != nil || n.Command != m.Command || n.Target != m.Target || n.Ack != m.Ack {
			t.Fatalf("%+v came as %+v, %v", m, n, err)
		}
		if cbor, err := PickleArgs(nil, body); err == nil {
			if _, _, err := SplitArgs(CodecCBOR, cbor); err != nil {
				var f *FieldError
				if !errors.As(err, &f) || f.Code != CodeTooLarge {
					t.Fatalf("arguments that cannot be read: %v", err)
				}
			}
		}
	})
}

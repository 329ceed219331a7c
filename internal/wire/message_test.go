package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// full is a message that uses every field.
func full() Message {
	return Message{
		Kind: KindRequest, Flags: FlagTurn | FlagArgs, Codec: CodecCBOR, Millis: 29_950, ID: MaxID,
		Target: []byte("tally"), Sender: []byte("counter-1"), Command: []byte("add"),
		Ext:  AppendExt(AppendParent(nil, 7), ExtTrace, []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
		Body: []byte{0x82, 0x81, 0x05, 0xa0},
	}
}

func TestMessageRoundTrip(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, m := range []Message{
		full(),
		{Kind: KindNotify},
		{Kind: 0x7f, Flags: 0xff, Codec: 0xff, Millis: 1<<32 - 1},
		{Kind: KindRequest, Target: []byte(long), Sender: []byte(long), Command: []byte(long), Ext: AppendExt(nil, 9, make([]byte, 65532)), Body: make([]byte, 1<<20)},
	} {
		if !m.Fits() {
			t.Fatalf("%v does not fit", m.Kind)
		}
		b := m.Append([]byte("head"))[4:]
		if len(b) != m.Size() {
			t.Errorf("%v: %d bytes, Size %d", m.Kind, len(b), m.Size())
		}
		var got Message
		if err := got.Parse(b); err != nil {
			t.Fatal(err)
		}
		if again := got.Append(nil); string(again) != string(b) {
			t.Errorf("%v is not what it was", m.Kind)
		}
		if err := got.CheckExt(); err != nil {
			t.Error(err)
		}
	}
}

func TestFits(t *testing.T) {
	for _, m := range []Message{
		{Target: make([]byte, 256)}, {Sender: make([]byte, 256)}, {Command: make([]byte, 256)},
		{Ext: make([]byte, 65536)}, {ID: MaxID + 1},
	} {
		if m.Fits() {
			t.Errorf("%+.60v fits", m)
		}
	}
}

// Cut anywhere in its names a message is malformed; cut in its body it is another
// message, which is why a frame has a length of its own.
func TestTruncation(t *testing.T) {
	m := full()
	b := m.Append(nil)
	for n := range b {
		var got Message
		err := got.Parse(b[:n])
		if header := len(b) - len(m.Body); n < header && !errors.As(err, new(*MalformedError)) || n >= header && err != nil {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	names := len(b) - len(m.Body) - len(m.Ext)
	for n := range b {
		var got Message
		err := got.ParseCut(b[:n], len(b)-n)
		if known := n >= names; (err == nil) != known {
			t.Errorf("%d of %d bytes, and it is known that the rest is missing: %v", n, len(b), err)
		} else if again := got.Append(nil); known && string(again[HeaderSize:]) != string(b[HeaderSize:n]) {
			t.Errorf("of %d bytes %d are left", n, len(again))
		}
		if n < names+len(m.Ext) && got.ParseCut(b[:n], names+len(m.Ext)-n-1) == nil {
			t.Errorf("%d bytes, which say that there are more than there ever were, are taken", n)
		}
	}
	for n := range m.Ext {
		cut := Message{Ext: m.Ext[:n]}
		whole := n == 0 || n == 11
		if err := cut.CheckExt(); (err == nil) != whole {
			t.Errorf("%d of %d bytes of extensions: %v", n, len(m.Ext), err)
		}
		if parent, ok := cut.Parent(); ok != (n >= 11) || ok && parent != 7 {
			t.Errorf("%d of %d bytes of extensions: parent %d, %t", n, len(m.Ext), parent, ok)
		}
	}
}

func TestParseRefusals(t *testing.T) {
	m := full()
	for want, change := range map[string]func([]byte){
		"its first byte is not below 0x80": func(b []byte) { b[0] = 0x80 },
		"its id is 2^53 or more":           func(b []byte) { b[9] = 0x20 },
		"shorter than its header says":     func(b []byte) { b[18] = 0xff },
	} {
		b := m.Append(nil)
		change(b)
		var got Message
		if err := got.Parse(b); err == nil || err.Error() != "not a native message: "+want {
			t.Errorf("%v, want %s", err, want)
		}
		if !reflect.DeepEqual(got, Message{}) {
			t.Errorf("%s: something was parsed", want)
		}
	}
}

func TestExtensions(t *testing.T) {
	for _, tt := range []struct {
		ext    []byte
		ok     bool
		parent uint64
	}{
		{nil, true, 0},
		{AppendExt(nil, 77, []byte("new")), true, 0},
		{AppendParent(AppendExt(nil, 77, []byte("new")), 5), true, 5},
		{AppendExt(nil, 0x81, nil), false, 0},
		{AppendExt(nil, ExtParent, []byte("short")), true, 0},
		{AppendParent(AppendExt(nil, ExtParent, []byte("short")), 5), true, 5},
		{[]byte{1, 0, 9, 0}, false, 0},
	} {
		m := Message{Ext: tt.ext}
		if err := m.CheckExt(); (err == nil) != tt.ok {
			t.Errorf("%x: %v", tt.ext, err)
		}
		if got, ok := m.Parent(); got != tt.parent || ok != (tt.parent != 0) {
			t.Errorf("%x: parent %d, %t", tt.ext, got, ok)
		}
	}
}

func TestCredit(t *testing.T) {
	want := Credit{Messages: 1 << 40, Bytes: 1<<64 - 1, Started: 3}
	var buf [16]byte
	m := want.Message(&buf)
	var got Message
	if err := got.Parse(m.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if c, err := ParseCredit(&got); err != nil || c != want {
		t.Errorf("%+v, %v", c, err)
	}
	for n := range 16 {
		if _, err := ParseCredit(&Message{Kind: KindCredit, Body: buf[:n]}); err == nil {
			t.Errorf("a credit of %d bytes was taken", n)
		}
	}
}

func TestNames(t *testing.T) {
	for k := KindHello; k <= KindGoodbye; k++ {
		if strings.HasPrefix(k.String(), "kind ") {
			t.Errorf("kind %d has no name", uint8(k))
		}
	}
	if Kind(0).String() != "kind 0" || Kind(99).String() != "kind 99" {
		t.Error("unknown kinds")
	}
	if string(Bytes("abc")) != "abc" || len(Bytes("")) != 0 {
		t.Error("Bytes")
	}
}

func TestHeaderAllocatesNothing(t *testing.T) {
	m := full()
	b := m.Append(nil)
	buf := make([]byte, 0, 2*len(b))
	var credit [16]byte
	var got Message
	if n := testing.AllocsPerRun(100, func() {
		if err := got.Parse(b); err != nil {
			t.Fatal(err)
		}
		if p, ok := got.Parent(); !ok || p != 7 {
			t.Fatal("parent")
		}
		if err := got.CheckExt(); err != nil {
			t.Fatal(err)
		}
		got.ID = 9
		buf = got.Append(buf[:0])
		c := Credit{Messages: 1}.Message(&credit)
		buf = c.Append(buf)
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"runtime"
	"testing"
)

func FuzzMessage(f *testing.F) {
	m := full()
	f.Add(m.Append(nil))
	f.Add((&Message{Kind: KindNotify}).Append(nil))
	f.Add(make([]byte, HeaderSize-1))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		var m Message
		if err := m.Parse(b); err != nil {
			if !errors.As(err, new(*MalformedError)) {
				t.Fatalf("%T", err)
			}
			return
		}
		if !m.Fits() || m.Size() != len(b) {
			t.Fatalf("size %d of %d", m.Size(), len(b))
		}
		if again := m.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
		_ = m.CheckExt()
		m.Parent()
		_, _ = ParseCredit(&m)
		_, _ = ParseHello(&m)
		_, _ = ParseWelcome(&m)
		ParseDeath(&m)
		if ParseError(&m).Code == "" {
			t.Fatal("an error without a code")
		}
		_, _, _ = SplitArgs(m.Codec, m.Body)
		if !bytes.Equal(b, before) {
			t.Fatal("reading changed the bytes")
		}
	})
}

// What is read of a piece is written the same again; and no row of pieces that are all
// taken has more bytes than its message.
func FuzzPiece(f *testing.F) {
	whole := inPieces()
	f.Add(append(Piece{First: true, Left: uint64(len(whole))}.Append(nil), whole[:MinPiece]...), uint32(0), uint32(16<<20))
	f.Add(append(Piece{Left: 239}.Append(nil), whole[MinPiece:]...), uint32(239), uint32(16<<20))
	f.Add(Piece{First: true, Reply: true, Left: MaxID}.Append(nil), uint32(1), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, left, most uint32) {
		p, err := ParsePiece(b)
		if err != nil {
			if !errors.As(err, new(*MalformedError)) {
				t.Fatalf("%T", err)
			}
			return
		}
		var m Message
		if err := m.Parse(b); err != nil || len(m.Body) != len(b)-HeaderSize || m.Kind != KindPiece {
			t.Fatalf("%x is a piece and no message: %v", b, err)
		}
		if again, err := ParsePiece(p.Append(nil)); again != p || err != nil {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
		if p.Check(len(m.Body), uint64(left), int(most)) != nil {
			return
		}
		whole := uint64(left)
		if p.First {
			whole = p.Left
		}
		switch n := uint64(len(m.Body)); {
		case n == 0 || n > whole || n < whole && n < MinPiece:
			t.Fatalf("%+v with %d bytes, of %d", p, n, whole)
		case p.First && (left != 0 || whole > uint64(most) || n < HeaderSize), !p.First && p.Left != uint64(left):
			t.Fatalf("%+v with %d bytes, where %d were left of at most %d", p, n, left, most)
		case p.First:
			kind, id, err := ParseHead(m.Body)
			if err == nil && (kind != Kind(m.Body[0]) || id > MaxID) {
				t.Fatalf("%x is said to be a %v %d", m.Body, kind, id)
			}
		}
	})
}

func addCBOR(f *testing.F) {
	for _, s := range []string{
		"00", "3bffffffffffffffff", "f97e00", "f7", "62c3a9", "63eda080", "8283010203a16161f5", "bf6161ff", "9bffffffffffffffff",
		"c074323032362d31312d32335431313a31353a30305a", "c11b7fffffffffffffff", "c1fb7ff0000000000000", "c249010000000000000000", "c340",
		"d90102820101", "d8255000112233445566778899aabbccddeeff", "a201020304", "a1814101f6", "a1c2400a", "a1f97e0001", "82a0a16161a0",
		"a2616101616102", "8282616101a0", "a16576616c7565a101a102a103f6",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(nested(1000))
	f.Add(nested(1001))
}

// What CheckCBOR takes is one item; nothing that is decoded panics or takes memory
// beyond the budget; and what was decoded into an any has an image that decodes to
// the same.
func FuzzCBOR(f *testing.F) {
	addCBOR(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		checked := CheckCBOR(b, Limits{})
		if checked == nil && itemEnd(b) != len(b) {
			t.Fatalf("%x ends at %d", b, itemEnd(b))
		}
		var before, after runtime.MemStats
		var v any
		if len(b) > 1<<10 { // reading the statistics stops the world
			runtime.ReadMemStats(&before)
		}
		err := Decode(CodecCBOR, b, &v)
		if len(b) > 1<<10 {
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 3*DefaultMemory {
				t.Fatalf("%d bytes took %d of memory", len(b), n)
			}
		}
		if checked != nil && err == nil {
			t.Fatalf("%x was decoded, yet %v", b, checked)
		}
		for _, target := range []any{
			new(int), new(string), new([]byte), new(bool), new([]string), new(map[string]any), new(map[int]any), new(node), new(outer),
			new([]big4k), new(struct{}), new(Hello), new(Error), new(selfSlice), new(panicking), new(map[any]int), new([3]uint8), new(error),
		} {
			err := Decode(CodecCBOR, b, target)
			if err != nil && !errors.As(err, new(*FieldError)) {
				t.Fatalf("%T: %v", err, err)
			}
		}
		args, kwargs, splitErr := SplitArgs(CodecCBOR, b)
		if splitErr == nil {
			for _, a := range args {
				if err := CheckCBOR(a, Limits{}); err != nil {
					t.Fatal(err)
				}
			}
			for _, a := range kwargs {
				if err := CheckCBOR(a, Limits{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err != nil {
			return
		}
		image, err := Encode(CodecCBOR, nil, v)
		if err != nil {
			t.Fatalf("%x was decoded to %#v and has no image: %v", b, v, err)
		}
		var again any
		if err := Decode(CodecCBOR, image, &again); err != nil {
			t.Fatalf("%x became %x: %v", b, image, err)
		}
		if second, err := Encode(CodecCBOR, nil, again); err != nil || len(second) != len(image) {
			t.Fatalf("%x became %x became %x: %v", b, image, second, err)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`1`, `-0`, `1e5`, `1E400`, `123456789012345678901234567890`, `"a"`, `"\ud83d\ude00"`, `"\ud800"`, `{"a":{"a":1}}`, `{"a":1,"\u0061":2}`,
		`[[1,"x"],{"k":null}]`, ` [ ] `, `{"":{}}`, `"\\u0041\\"`, `{"tiles":[{"width":"\""}]}`, `[null,{}]`, `{"a":[1,2,{"b":"]}"}]}`, "\ufeff1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v any
		err := Decode(CodecJSON, b, &v)
		for _, target := range []any{new(int), new(string), new(outer), new(node), new(struct{}), new(map[string]int), new(panicking), new([]any)} {
			if err := Decode(CodecJSON, b, target); err != nil && !errors.As(err, new(*FieldError)) {
				t.Fatalf("%T: %v", err, err)
			}
		}
		_, _, _ = SplitArgs(CodecJSON, b)
		if err != nil {
			return
		}
		image, err := Encode(CodecJSON, nil, v)
		if err != nil {
			t.Fatalf("%q was decoded to %#v and has no image: %v", b, v, err)
		}
		var again any
		if err := Decode(CodecJSON, image, &again); err != nil {
			t.Fatalf("%q became %q: %v", b, image, err)
		}
	})
}

func FuzzHello(f *testing.F) {
	m, err := someHello().Message()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(1), uint32(1), m.Body)
	f.Add(uint64(99), uint32(98), []byte("?"))
	f.Add(uint64(0), uint32(0), []byte{0xa0})
	f.Add(uint64(MaxID), uint32(1), []byte{0xa1, 12, 0xf5})
	f.Fuzz(func(t *testing.T, newest uint64, oldest uint32, body []byte) {
		h, err := ParseHello(&Message{Kind: KindHello, Codec: CodecCBOR, ID: newest & MaxID, Millis: oldest, Body: body})
		if err != nil {
			if !errors.As(err, new(*Error)) || h != nil {
				t.Fatalf("%T %v", err, h)
			}
			return
		}
		if _, e := Negotiate(h); e != nil {
			if h.Kind != "" || h.Commands != nil {
				t.Fatal("the body of a foreign version was read")
			}
			return
		}
		again, err := h.Message()
		if err != nil {
			if len(body) > MaxHello/2 {
				return // its image may be longer
			}
			t.Fatalf("%+v was taken and cannot be sent: %v", h, err)
		}
		// An empty list comes back as none.
		second, err := ParseHello(&again)
		if err != nil || second.Kind != h.Kind || second.Name != h.Name || second.AID != h.AID || len(second.Commands) != len(h.Commands) || second.Inbox != h.Inbox {
			t.Fatalf("%+v became %+v, %v", h, second, err)
		}
	})
}

func FuzzError(f *testing.F) {
	m := (&Error{Code: CodeDown, Message: "m", App: "a", Path: []string{"p"}, Death: &Death{Cause: CauseExit, ExitCode: 1, Stderr: []string{"x"}}}).Frame(KindError, 1)
	f.Add([]byte("down"), byte(FlagStarted), m.Body)
	f.Add([]byte("\xff"), byte(3), []byte("?"))
	f.Add([]byte(""), byte(0), []byte{0xa1, 0x61, 'd', 0xf6})
	f.Fuzz(func(t *testing.T, code []byte, flags byte, body []byte) {
		if len(code) > 255 {
			return
		}
		e := ParseError(&Message{Kind: KindError, Codec: CodecCBOR, Flags: Flags(flags), Command: code, Body: body})
		if _, known := knownCode([]byte(e.Code)); !known {
			t.Fatalf("code %q", e.Code)
		}
		_ = e.Error()
		back := e.Frame(KindError, 7)
		if !back.Fits() || CheckCBOR(back.Body, reportLimits) != nil && len(back.Body) > 0 {
			t.Fatalf("%+v cannot be told again", e)
		}
		// Once told it is within the bounds, and telling changes it no more.
		told := ParseError(&back)
		again := told.Frame(KindError, 7)
		if told.Code != e.Code || told.Started != e.Started || !reflect.DeepEqual(ParseError(&again), told) {
			t.Fatalf("%+v became %+v", told, ParseError(&again))
		}
		d := ParseDeath(&Message{Kind: KindDown, Codec: CodecCBOR, Body: body})
		if d.Cause == "" || d.String() == "" {
			t.Fatal("a death without a cause")
		}
	})
}

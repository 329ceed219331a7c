package frame

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
)

func TestParseHeaderRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    string
		want *Error // nil: a reserved opcode
	}{
		{"rsv1", "\xc2\x00", errReserved},
		{"rsv2", "\xa2\x00", errReserved},
		{"rsv3", "\x92\x00", errReserved},
		{"rsv in one byte", "\x92", errReserved},
		{"opcode 3", "\x83\x00", nil},
		{"opcode 7", "\x87\x00", nil},
		{"opcode 11", "\x8b\x00", nil},
		{"opcode 15", "\x8f\x00", nil},
		{"opcode 3 in one byte", "\x83", nil},
		{"http", "GET / HTTP/1.1\r\n", errReserved},
		{"fragmented close", "\x08\x00", errControlFin},
		{"fragmented ping", "\x09", errControlFin},
		{"fragmented pong", "\x0a\x00", errControlFin},
		{"close of 126", "\x88\x7e\x00\x7e", errControlSize},
		{"ping of 126, cut", "\x89\x7e", errControlSize},
		{"pong of 65536, cut", "\x8a\x7f", errControlSize},
		{"masked ping of 126, cut", "\x89\xfe", errControlSize},
		{"16 bits for 0", "\x82\x7e\x00\x00", errMinimal},
		{"16 bits for 125", "\x82\x7e\x00\x7d", errMinimal},
		{"64 bits for 0", "\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x00", errMinimal},
		{"64 bits for 126", "\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x7e", errMinimal},
		{"64 bits for 65535", "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", errMinimal},
		{"2^63", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", errHuge},
		{"2^64-1", "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", errHuge},
		{"2^64-1, masked, mask missing", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", errHuge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, n, err := ParseHeader([]byte(tt.b))
			var e *Error
			if !errors.As(err, &e) || n != 0 || h != (Header{}) {
				t.Fatalf("ParseHeader(%x) = %+v, %d, %v; want an *Error alone", tt.b, h, n, err)
			}
			if e.Close != CloseProtocol {
				t.Errorf("close code %d, want %d", e.Close, CloseProtocol)
			}
			if tt.want != nil && e != tt.want {
				t.Errorf("refused with %q, want %q", e, tt.want)
			}
			if want := fmt.Sprintf("opcode %d is reserved", tt.b[0]&0xf); tt.want == nil && e.Reason != want {
				t.Errorf("refused with %q, want %q", e.Reason, want)
			}
		})
	}
}

var lengths = []struct {
	n    uint64
	size int // of the header, without a mask
}{
	{0, 2}, {1, 2}, {124, 2}, {125, 2}, {126, 4}, {127, 4}, {128, 4}, {255, 4}, {256, 4}, {65534, 4},
	{65535, 4}, {65536, 10}, {65537, 10}, {1 << 31, 10}, {1 << 32, 10}, {math.MaxInt64, 10},
}

func TestHeaderLengthForms(t *testing.T) {
	for _, l := range lengths {
		for _, masked := range []bool{false, true} {
			for _, op := range []Opcode{Continuation, Text, Binary} {
				for _, fin := range []bool{false, true} {
					h := Header{Fin: fin, Opcode: op, Masked: masked, Length: l.n}
					size := l.size
					if masked {
						h.Mask = [4]byte{1, 2, 3, 0xff}
						size += 4
					}
					b := h.Append([]byte("before"))
					if string(b[:6]) != "before" {
						t.Fatalf("Append overwrote what was there: %q", b)
					}
					b = b[6:]
					if len(b) != size || h.Size() != size {
						t.Errorf("%+v takes %d bytes, Size says %d, want %d", h, len(b), h.Size(), size)
					}
					// Every beginning needs more, and what follows is not touched.
					for i := range b {
						if _, n, err := ParseHeader(b[:i]); n != 0 || err != nil {
							t.Errorf("%+v cut to %d bytes: %d, %v; want 0, nil", h, i, n, err)
						}
					}
					got, n, err := ParseHeader(append(b, "after"...))
					if got != h || n != size || err != nil {
						t.Errorf("%+v came back as %+v, %d, %v", h, got, n, err)
					}
				}
			}
		}
	}
}

func TestHeaderBytes(t *testing.T) {
	// The examples of RFC 6455 §5.7.
	for _, tt := range []struct {
		h    Header
		want string
	}{
		{Header{Fin: true, Opcode: Text, Length: 5}, "\x81\x05"},
		{Header{Fin: true, Opcode: Text, Masked: true, Mask: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: 5}, "\x81\x85\x37\xfa\x21\x3d"},
		{Header{Opcode: Text, Length: 3}, "\x01\x03"},
		{Header{Fin: true, Length: 2}, "\x80\x02"},
		{Header{Fin: true, Opcode: Ping, Length: 5}, "\x89\x05"},
		{Header{Fin: true, Opcode: Pong, Masked: true, Mask: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: 5}, "\x8a\x85\x37\xfa\x21\x3d"},
		{Header{Fin: true, Opcode: Binary, Length: 256}, "\x82\x7e\x01\x00"},
		{Header{Fin: true, Opcode: Binary, Length: 65536}, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
	} {
		if got := tt.h.Append(nil); string(got) != tt.want {
			t.Errorf("%+v is written as %x, want %x", tt.h, got, tt.want)
		}
	}
}

func TestAppendBinary(t *testing.T) {
	for _, l := range lengths {
		if l.n > math.MaxInt {
			continue
		}
		want := Header{Fin: true, Opcode: Binary, Length: l.n}.Append([]byte("x"))
		if got := AppendBinary([]byte("x"), int(l.n)); !bytes.Equal(got, want) {
			t.Errorf("AppendBinary(%d) = %x, want %x", l.n, got, want)
		}
		if got := BinaryHeaderSize(int(l.n)); got != l.size {
			t.Errorf("BinaryHeaderSize(%d) = %d, want %d", l.n, got, l.size)
		}
	}
}

func TestAppendFrame(t *testing.T) {
	if got := AppendFrame([]byte("x"), Ping, []byte("Hello")); string(got) != "x\x89\x05Hello" {
		t.Errorf("AppendFrame wrote %q", got)
	}
}

func TestOpcodeString(t *testing.T) {
	want := map[Opcode]string{0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong", 3: "opcode 3", 200: "opcode 200"}
	for op, s := range want {
		if op.String() != s {
			t.Errorf("Opcode(%d) is called %q, want %q", uint8(op), op, s)
		}
	}
}

func TestOpcodeKnown(t *testing.T) {
	for op := range 256 {
		want := op <= 2 || op >= 8 && op <= 10
		if got := Opcode(op).known(); got != want {
			t.Errorf("Opcode(%d).known() = %v", op, got)
		}
	}
}

func TestHeaderAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, MaxHeader)
	for _, h := range []Header{
		{Fin: true, Opcode: Binary, Length: 64},
		{Fin: true, Opcode: Text, Masked: true, Mask: [4]byte{1, 2, 3, 4}, Length: 70000},
	} {
		if n := testing.AllocsPerRun(100, func() {
			b = h.Append(b[:0])
			if got, _, err := ParseHeader(b); err != nil || got != h {
				t.Fatal(got, err)
			}
		}); n != 0 {
			t.Errorf("writing and reading %+v allocates %v times", h, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { b = AppendBinary(b[:0], 70000) }); n != 0 {
		t.Errorf("AppendBinary allocates %v times", n)
	}
}

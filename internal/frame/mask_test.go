package frame

import (
	"bytes"
	"testing"
)

// maskSlowly is RFC 6455 §5.3, word for word.
func maskSlowly(key [4]byte, pos int, b []byte) {
	for i := range b {
		b[i] ^= key[(pos+i)%4]
	}
}

func TestMask(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	hello := []byte("Hello")
	if Mask(key, 0, hello); string(hello) != "\x7f\x9f\x4d\x51\x58" { // RFC 6455 §5.7
		t.Errorf("Hello is masked as %x", hello)
	}

	// Every length up to several turns of each loop, at every alignment and place.
	plain := make([]byte, 160)
	for i := range plain {
		plain[i] = byte(i * 7)
	}
	for from := range 9 {
		for n := range 150 {
			for pos := range 4 {
				got, want := bytes.Clone(plain), bytes.Clone(plain)
				next := Mask(key, pos, got[from:from+n])
				maskSlowly(key, pos, want[from:from+n])
				if !bytes.Equal(got, want) {
					t.Fatalf("%d bytes from %d, place %d: got %x, want %x", n, from, pos, got, want)
				}
				if next != (pos+n)%4 {
					t.Fatalf("%d bytes from place %d lead to place %d", n, pos, next)
				}
			}
		}
	}
}

func TestMaskInPieces(t *testing.T) {
	key := [4]byte{1, 20, 30, 255}
	for cut := range 70 {
		whole, pieces := make([]byte, 70), make([]byte, 70)
		Mask(key, 0, whole)
		Mask(key, Mask(key, 0, pieces[:cut]), pieces[cut:])
		if !bytes.Equal(whole, pieces) {
			t.Errorf("cut at %d: %x, want %x", cut, pieces, whole)
		}
	}
}

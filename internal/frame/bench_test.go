package frame

import (
	"bytes"
	"fmt"
	"testing"
)

func BenchmarkParseHeader(b *testing.B) {
	for _, n := range []uint64{64, 1000, 100000} {
		for _, masked := range []bool{false, true} {
			b.Run(fmt.Sprintf("length=%d/masked=%v", n, masked), func(b *testing.B) {
				buf := Header{Fin: true, Opcode: Binary, Length: n, Masked: masked}.Append(nil)
				b.ReportAllocs()
				for b.Loop() {
					if _, size, err := ParseHeader(buf); size == 0 || err != nil {
						b.Fatal(size, err)
					}
				}
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, h := range []Header{
		{Fin: true, Opcode: Binary, Length: 64},
		{Fin: true, Opcode: Binary, Length: 100000},
		{Fin: true, Opcode: Binary, Length: 64, Masked: true},
	} {
		b.Run(fmt.Sprintf("length=%d/masked=%v", h.Length, h.Masked), func(b *testing.B) {
			buf := make([]byte, 0, MaxHeader)
			b.ReportAllocs()
			for b.Loop() {
				buf = h.Append(buf[:0])
			}
		})
	}
	b.Run("AppendBinary", func(b *testing.B) {
		buf := make([]byte, 0, MaxHeader)
		b.ReportAllocs()
		for b.Loop() {
			buf = AppendBinary(buf[:0], 64)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, tt := range []struct {
		name   string
		o      Options
		stream []byte
		each   int
	}{
		{"64B", Options{}, bytes.Repeat(frames("b:"+big(64)), 1000), 64},
		{"64B/masked", Options{Masking: MaskRequired}, bytes.Repeat(frames("bm:"+big(64)), 1000), 64},
		{"64B/text", Options{TextUTF8: true}, bytes.Repeat(frames("t:"+big(64)), 1000), 64},
		{"16KiB", Options{}, bytes.Repeat(frames("b:"+big(16<<10)), 4), 16 << 10},
		{"1MiB", Options{}, frames("b:" + big(1<<20)), 1 << 20},
	} {
		b.Run(tt.name, func(b *testing.B) {
			r := NewReader(&endless{b: tt.stream}, tt.o)
			b.SetBytes(int64(tt.each))
			b.ReportAllocs()
			for b.Loop() {
				r.Ready() // as its callers do
				if _, _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{16, 64, 1024, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Mask([4]byte{1, 2, 3, 4}, 1, buf)
			}
		})
	}
}

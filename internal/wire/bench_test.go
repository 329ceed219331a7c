package wire

import (
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	m := full()
	data := m.Append(nil)
	var got Message
	b.ReportAllocs()
	for b.Loop() {
		if err := got.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	m := full()
	buf := make([]byte, 0, m.Size())
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
	}
}

// BenchmarkParseLookup is how an arbiter finds whom a message is for, among a
// hundred actors.
func BenchmarkParseLookup(b *testing.B) {
	registry := make(map[string]*int)
	for i := range 100 {
		registry[string(rune('a'+i%26))+string(rune('0'+i%10))+"-actor"] = new(int)
	}
	registry["tally"] = new(int)
	m := Message{Kind: KindRequest, Codec: CodecCBOR, Millis: 30000, ID: 1, Target: []byte("tally"), Command: []byte("add"), Body: make([]byte, 64)}
	data := m.Append(nil)
	var got Message
	b.ReportAllocs()
	for b.Loop() {
		if err := got.Parse(data); err != nil {
			b.Fatal(err)
		}
		if registry[string(got.Target)] == nil {
			b.Fatal("nobody")
		}
	}
}

// BenchmarkForward is what an arbiter does with the header of a message: find the
// target, give it another id and the true sender, write it. The body is 64 bytes.
func BenchmarkForward(b *testing.B) {
	registry := make(map[string]*int)
	for i := range 100 {
		registry[string(rune('a'+i%26))+string(rune('0'+i%10))+"-actor"] = new(int)
	}
	registry["tally"] = new(int)
	m := Message{Kind: KindRequest, Codec: CodecCBOR, Millis: 30000, ID: 1, Target: []byte("tally"), Command: []byte("add"), Body: make([]byte, 64)}
	data, sender := m.Append(nil), []byte("counter-1")
	buf := make([]byte, 0, 256)
	var got Message
	id := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		if err := got.Parse(data); err != nil {
			b.Fatal(err)
		}
		if registry[string(got.Target)] == nil {
			b.Fatal("nobody")
		}
		id++
		got.ID, got.Sender = id, sender
		buf = got.Append(buf[:0])
	}
}

func BenchmarkCodec(b *testing.B) {
	type order struct {
		ID    int
		Name  string
		Items []string
		Price float64
	}
	in := order{7, "someone", []string{"a", "b", "c"}, 1.5}
	for name, c := range map[string]Codec{"cbor": CodecCBOR, "json": CodecJSON} {
		b.Run(name+"/encode-int", func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = Encode(c, buf[:0], 500)
			}
		})
		b.Run(name+"/encode-struct", func(b *testing.B) {
			var buf []byte
			var err error
			b.ReportAllocs()
			for b.Loop() {
				if buf, err = Encode(c, buf[:0], &in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/encode-struct-with-any", func(b *testing.B) {
			loose := struct {
				order
				A, B, C, D, E int
				Extra         map[string]any
			}{order: in}
			var buf []byte
			var err error
			b.ReportAllocs()
			for b.Loop() {
				if buf, err = Encode(c, buf[:0], &loose); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/decode-struct", func(b *testing.B) {
			data, err := Encode(c, nil, in)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				var out order
				if err := Decode(c, data, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/decode-int", func(b *testing.B) {
			data, err := Encode(c, nil, 500)
			if err != nil {
				b.Fatal(err)
			}
			var n int
			b.ReportAllocs()
			for b.Loop() {
				if err := Decode(c, data, &n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckCBOR(b *testing.B) {
	list := make([]int, 70_000)
	for i := range list {
		list[i] = i
	}
	data, err := Encode(CodecCBOR, nil, list)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("70000 ints", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := CheckCBOR(data, Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	deep := nested(10_000)
	b.Run("10000 deep", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if CheckCBOR(deep, Limits{}) == nil {
				b.Fatal("taken")
			}
		}
	})
	liar := []byte{0x9b, 0x40, 0, 0, 0, 0, 0, 0, 0}
	b.Run("2^62 elements", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if CheckCBOR(liar, Limits{}) == nil {
				b.Fatal("taken")
			}
		}
	})
}

// BenchmarkTranscode is what a message of the json profile costs beside its routing.
func BenchmarkTranscode(b *testing.B) {
	small := []byte(`{"name":"tally","n":42,"tags":["a","b"],"ratio":0.25}`)
	large := []byte("[" + strings.Repeat(`{"name":"tally","n":42,"tags":["a","b"],"ratio":0.25},`, 2000) + "0e0" + strings.Repeat(",0e0", 50_000) + "]")
	for name, text := range map[string][]byte{"small": small, "large": large} {
		data, err := AppendCBOR(nil, text, Limits{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/read", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var dst []byte
			for b.Loop() {
				dst, _ = AppendCBOR(dst[:0], text, Limits{})
			}
		})
		b.Run(name+"/write", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var dst []byte
			for b.Loop() {
				dst, _ = AppendJSON(dst[:0], CodecCBOR, data, Limits{})
			}
		})
	}
}

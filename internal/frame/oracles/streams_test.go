package oracles

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gobwas/ws"

	"github.com/arbiter-go/arbiter/internal/frame"
)

var (
	streams = flag.Int("streams", 5_000, "streams of TestStreams")
	seed    = flag.Uint64("seed", 1, "of TestStreams")
)

// TestStreams has all three read the same random streams: frames as they should be, and
// those with a bit here and there that should not be.
func TestStreams(t *testing.T) {
	ends := make(map[string]int)
	for n := range *streams {
		random := rand.New(rand.NewPCG(*seed, uint64(n)))
		b := stream(random)
		limit := 125 + random.IntN(2000)
		name := fmt.Sprintf("stream %d of seed %d", n, *seed)
		ends[againstGobwas(t, name, b, random.IntN(2) == 0, limit)]++
		againstCoder(t, name, b)
	}
	t.Log("they ended so often with", ends)
	for _, end := range []string{over, "1002", "1007", "1009"} {
		if *streams >= 5_000 && ends[end] < *streams/200 {
			t.Errorf("too few streams ended with %q for this to show much: %v", end, ends)
		}
	}
}

// stream returns some frames.
func stream(random *rand.Rand) (b []byte) {
	masked := random.IntN(2) == 0
	begun := false
	for range 1 + random.IntN(8) {
		h := frame.Header{Fin: random.IntN(3) > 0, Masked: masked}
		var payload []byte
		if random.IntN(4) == 0 {
			h.Fin, h.Opcode = true, frame.Opcode(8+random.IntN(3))
			payload = make([]byte, random.IntN(126))
			if h.Opcode == frame.Close {
				payload = frame.AppendClose(nil, frame.CloseNormal, text(random, 60))
			}
		} else {
			h.Opcode = frame.Opcode(1 + random.IntN(2))
			if begun {
				h.Opcode = frame.Continuation
			}
			begun = !h.Fin
			payload = []byte(text(random, []int{10, 125, 130, 1500, 70_000}[random.IntN(5)]))
			if random.IntN(8) == 0 && len(payload) > 0 { // a character is cut, or worse
				payload = payload[:random.IntN(len(payload))]
			}
		}
		h.Length = uint64(len(payload))
		if masked {
			h.Mask = [4]byte{byte(random.Uint32()), byte(random.Uint32()), 0, 0xff}
			frame.Mask(h.Mask, 0, payload)
		}
		at := len(b)
		b = append(h.Append(b), payload...)
		if random.IntN(12) == 0 { // not as it should be
			b[at+random.IntN(min(len(b)-at, 16))] ^= 1 << random.IntN(8)
		}
	}
	if random.IntN(10) == 0 {
		b = b[:random.IntN(len(b))]
	}
	return b
}

// text is at most n bytes of it.
func text(random *rand.Rand, n int) string {
	var b bytes.Buffer
	for range random.IntN(n) / 4 {
		b.WriteRune([]rune("aé€😀\x00\ufffd\U0010ffff")[random.IntN(7)])
	}
	return b.String()
}

// What a reader of a stream ends with, if not with the code of a violation.
const over = "over"

// comparable returns as much of b as all are to agree about: up to the first header
// that is cut off, or whose length is not in the shortest form, which only package frame
// refuses (RFC 6455 §5.2: "the minimal number of bytes MUST be used").
func comparable(b []byte) []byte {
	for at := 0; at < len(b); {
		r := bytes.NewReader(b[at:])
		h, err := ws.ReadHeader(r)
		if err == ws.ErrHeaderLengthMSB {
			return b[:min(at+14, len(b))]
		}
		n := len(b) - at - r.Len()
		if err != nil || n > ws.HeaderSize(h) {
			return b[:at]
		}
		at += n
		if h.Length > int64(len(b)-at) {
			return b
		}
		at += int(h.Length)
	}
	return b
}

// ours is what package frame reads: the messages and control frames, and the end.
func ours(b []byte, o frame.Options) (list []string, end string) {
	r := frame.NewReader(bytes.NewReader(b), o)
	for {
		op, payload, err := r.Next()
		if e, ok := err.(*frame.Error); ok {
			return list, fmt.Sprint(e.Close)
		}
		if err != nil {
			return list, over
		}
		list = append(list, event(byte(op), payload))
	}
}

func event(op byte, payload []byte) string { return fmt.Sprintf("%d %s", op, payload) }

// short is a list as far as one wants to read it.
func short(list []string) (s []string) {
	for _, e := range list {
		s = append(s, fmt.Sprintf("%.40q(%d)", e, len(e)))
	}
	return s
}

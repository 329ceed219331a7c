package pickle

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// TestPlainFrames: of the captured messages those of plain data are taken apart without
// their values, and written again byte for byte; and what is written of two pairs is what
// Append writes of their values.
func TestPlainFrames(t *testing.T) {
	var p Plain
	all, plain := 0, 0
	for _, c := range corpus(t) {
		v, err := Decode(c.pickle, Limits{})
		d, ok := v.(*Dict)
		if err != nil || !ok || !strings.Contains(c.File, "/") {
			continue
		}
		all++
		if !p.Read(c.pickle, Limits{}) {
			continue
		}
		plain++
		if p.Len() != len(d.Pairs) {
			t.Fatalf("%s: %d pairs, want %d", c.File, p.Len(), len(d.Pairs))
		}
		var every []int
		for i, pair := range d.Pairs {
			every = append(every, i)
			if string(p.Key(i)) != string(pair.Key.(Str)) {
				t.Errorf("%s: the key %q, want %v", c.File, p.Key(i), pair.Key)
			}
			s, isText := pair.Value.(Str)
			if b, ok := p.Text(i); ok != isText || string(b) != string(s) {
				t.Errorf("%s: %q, %v; want %v", c.File, b, ok, pair.Value)
			}
			_, isNone := pair.Value.(None)
			_, isTuple := pair.Value.(*Tuple)
			inner, isDict := pair.Value.(*Dict)
			if p.IsNone(i) != isNone || p.IsTuple(i) != isTuple || p.IsEmptyDict(i) != (isDict && len(inner.Pairs) == 0) {
				t.Errorf("%s: pair %d is something else", c.File, i)
			}
		}
		if b := p.Append(nil, every...); !bytes.Equal(b, c.pickle) {
			t.Errorf("%s: written\n%q, want\n%q", c.File, b, c.pickle)
		}
		for n := 1; n <= 2 && n <= len(every); n++ {
			some := every[len(every)-n:]
			want, err := Append(nil, &Dict{Pairs: d.Pairs[len(every)-n:]}, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if b := p.Append(nil, some...); !bytes.Equal(b, want) {
				t.Errorf("%s: of %d pairs was written\n%q, want\n%q", c.File, n, b, want)
			}
		}
	}
	t.Logf("%d of %d are plain", plain, all)
	if all < 600 || plain < all/2 {
		t.Errorf("%d of %d are plain", plain, all)
	}
}

// TestPlainRefuses: what is not just so is for Decode.
func TestPlainRefuses(t *testing.T) {
	var p Plain
	key := "X\x01\x00\x00\x00kq\x01"
	for name, body := range map[string]string{
		"no dict":                        "]q\x00(Nt",
		"not noted":                      "}(" + "X\x01\x00\x00\x00kNu",
		"a number that is not the next":  "}q\x01(" + key + "Nu",
		"a long number that is short":    "}r\x00\x00\x00\x00(" + key + "Nu",
		"one pair, SETITEM":              "}q\x00" + key + "Ns",
		"a value left over":              "}q\x00(" + key + "NNu",
		"a key that is no text":          "}q\x00(NNu",
		"two batches":                    "}q\x00(" + key + "Nu(h\x01Nu",
		"a MARK that is never used":      "}q\x00((" + key + "Nu",
		"a list that stands twice":       "}q\x00(" + key + "]q\x02h\x01h\x02u",
		"a list that holds itself":       "}q\x00(" + key + "]q\x02h\x02au",
		"an entry that is not there":     "}q\x00(" + key + "h\x02u",
		"a list as a key":                "}q\x00(" + key + "}q\x02]q\x03Nsu",
		"a tuple of a list as a key":     "}q\x00(" + key + "}q\x02]q\x03\x85q\x04Nsu",
		"SETITEM into a list":            "}q\x00(" + key + "]q\x02NNsu",
		"APPEND to a dict":               "}q\x00(" + key + "}q\x02Nau",
		"APPEND over a MARK":             "}q\x00(" + key + "]q\x02(Nau",
		"TUPLE2 over a MARK":             "}q\x00(" + key + "N(N\x86q\x02u",
		"a TUPLE of three":               "}q\x00(" + key + "(NNNtq\x02u",
		"APPENDS to a text":              "}q\x00(" + key + "(Neu",
		"APPENDS to the message":         "}q\x00(" + key + "Ne",
		"a call":                         "}q\x00(" + key + "cm\nC\nq\x02)Rq\x03u",
		"a class":                        "}q\x00(" + key + "cm\nC\nq\x02u",
		"a POP":                          "}q\x00(" + key + "NN0u",
		"text that is not UTF-8":         "}q\x00(" + key + "X\x01\x00\x00\x00\xffq\x02u",
		"text of Python 2":               "}q\x00(" + key + "U\x01aq\x02u",
		"text that is cut short":         "}q\x00(" + key + "X\xff\xff\xff\xffau",
		"an int that is cut short":       "}q\x00(" + key + "\x8a\x09u",
		"a float that is cut short":      "}q\x00(" + key + "G\x00u",
		"something after STOP":           "}q\x00(" + key + "Nu.",
		"more on the stack than is held": "}q\x00(" + key + "(" + strings.Repeat("N", maxPlainStack+1) + "tq\x02u",
	} {
		if p.Read(whole(body), Limits{}) {
			t.Errorf("%s: it was read", name)
		}
	}
	if p.Read(nil, Limits{}) || p.Read([]byte("\x80\x02}q\x00(u"), Limits{}) {
		t.Error("a message that is cut short was read")
	}
	if !p.Read(whole("}q\x00("+key+"Nu"), Limits{}) || p.Read(whole("}q\x00("+key+"Nu"), Limits{Message: 8}) {
		t.Error("the limit of the message is another")
	}
	for limit, want := range map[int]bool{3: true, 2: false} {
		if p.Read(whole("}q\x00("+key+")\x85q\x02u"), Limits{Depth: limit}) != want {
			t.Errorf("a tuple in a tuple in a dict, of at most %d: want %v", limit, want)
		}
	}
}

// TestPlainBombs: what is plain, and as much as a message holds, is read and written in
// the time of TestBombs, see there, or is left to Decode soon.
func TestPlainBombs(t *testing.T) {
	var p Plain
	limits := Limits{Message: *bombSize}
	put := func(i int) string { // of entry i
		if i < 256 {
			return "q" + string([]byte{byte(i)})
		}
		return "r" + string(binary.LittleEndian.AppendUint32(nil, uint32(i)))
	}
	batches := func(n int, s string) string { return "]q\x02" + fill(n, "("+strings.Repeat(s, 1000)+"e") }
	noted := func(n int, s string) string { // and its entry
		var b strings.Builder
		b.WriteString("]q\x02")
		for i := range n / 1000 * 1000 {
			if i%1000 == 0 {
				b.WriteString("(")
			}
			b.WriteString(s + put(i+3))
			if i%1000 == 999 {
				b.WriteString("e")
			}
		}
		return b.String()
	}
	full := *bombSize > maxPlainValues // some are within the bounds at the size of the usual run
	for _, c := range []struct {
		name  string
		plain bool
		value func(n int) string
	}{
		{"ints one by one", false, func(n int) string { return "]q\x02" + fill(n, "K\x01a") }},
		{"batches of one", false, func(n int) string { return "]q\x02" + fill(n, "(K\x01e") }},
		{"APPENDS of nothing", false, func(n int) string { return "]q\x02" + fill(n, "(e") }},
		{"pairs one by one", false, func(n int) string { return "}q\x02" + fill(n, "K\x01Ns") }},
		{"ints", !full, func(n int) string { return batches(n, "J\x00\x00\x01\x00") }},
		{"small ints", !full, func(n int) string { return batches(n, "K\x01") }},
		{"small ints, as many as are taken", true, func(n int) string { return batches(n/4, "K\x01") }},
		{"floats", true, func(n int) string { return batches(n, "G?\xf8\x00\x00\x00\x00\x00\x01") }},
		{"NONEs", !full, func(n int) string { return batches(n, "N") }},
		{"NONEs, as many as are taken", true, func(n int) string { return batches(n/8, "N") }},
		{"empty tuples", !full, func(n int) string { return batches(n, ")") }},
		{"pairs", !full, func(n int) string { return "}q\x02" + fill(n, "("+strings.Repeat("K\x01N", 1000)+"u") }},
		{"pairs, as many as are taken", true, func(n int) string { return "}q\x02" + fill(n/6, "("+strings.Repeat("K\x01N", 1000)+"u") }},
		{"a long text", true, func(n int) string { return long(n) + "q\x02" }},
		{"a long text of surrogates", true, func(n int) string { return long(0, strings.Repeat("\xed\x95\x9c\xed\xa0\x80", n/8)) + "q\x02" }},
		{"one text again and again", true, func(n int) string {
			return "]q\x02(" + long(9) + "q\x03" + strings.Repeat("h\x03", 999) + "e" + fill(n/5, "("+strings.Repeat("h\x03", 1000)+"e")
		}},
		{"MARKs", false, func(n int) string { return fill(n, "(") }},
		{"a tuple of NONEs", false, func(n int) string { return "(" + fill(n, "N") + "tq\x02" }},
		{"texts", !full, func(n int) string { return noted(n/16, "X\x01\x00\x00\x00a") }},
		{"texts, as many as are taken", true, func(n int) string { return noted(n/132, "X\x01\x00\x00\x00a") }},
		{"lists, as many as are taken", true, func(n int) string { return noted(n/132, "]") }},
		{"tuples in tuples", false, func(n int) string {
			var b strings.Builder
			b.WriteString("N")
			for i := range n / 6 {
				b.WriteString("\x85" + put(i+2))
			}
			return b.String()
		}},
	} {
		data := whole("}q\x00(X\x01\x00\x00\x00kq\x01" + c.value(*bombSize-4096) + "u")
		var plain bool
		took, bytes, _ := spent(func() error { plain = p.Read(data, limits); return nil })
		t.Logf("%-30s %8d bytes: read in %5.1f ms, %5.1f MB", c.name, len(data), took.Seconds()*1e3, bytes/1e6)
		if plain != c.plain {
			t.Errorf("%s: plain: %v, want %v", c.name, plain, c.plain)
		}
		if bytes > 12e6 || took > 5*time.Second {
			t.Errorf("%s: reading took %.1f MB, %v", c.name, bytes/1e6, took)
		}
		if !plain {
			continue
		}
		var out []byte
		took, bytes, _ = spent(func() error { out = p.Append(nil, 0); return nil })
		t.Logf("%-30s %8d bytes: written in %5.1f ms, %5.1f MB", "", len(out), took.Seconds()*1e3, bytes/1e6)
		if bytes > 2*float64(*bombSize)+12e6 || took > 5*time.Second {
			t.Errorf("%s: writing took %.1f MB, %v", c.name, bytes/1e6, took)
		}
	}
}

// FuzzPlain holds Plain to Decode: what it takes, Decode takes, with the same pairs, and
// what it writes means the same.
//
//	go test ./internal/pickle -run '^$' -fuzz FuzzPlain -fuzztime 5m
func FuzzPlain(f *testing.F) {
	for i, c := range corpus(f) {
		if len(c.pickle) < 300 && i%5 == 0 {
			f.Add(c.pickle)
		}
	}
	f.Add(whole("}q\x00(X\x01\x00\x00\x00kq\x01]q\x02(h\x01(NNNNtq\x03X\x00\x00\x00\x00q\x04}q\x05h\x04Nseu"))
	limits := Limits{Message: 1 << 16, Depth: 50, IntBytes: 64}
	var p Plain
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		if !p.Read(data, limits) {
			return
		}
		v, err := Decode(data, limits)
		d, ok := v.(*Dict)
		if err != nil || !ok || len(d.Pairs) != p.Len() {
			t.Fatalf("Decode: %v, %v", v, err)
		}
		for from := range len(d.Pairs) {
			var some []int
			for i := from; i < len(d.Pairs); i++ {
				some = append(some, i)
			}
			b := p.Append([]byte("before"), some...)
			got, err := Decode(b[6:], limits)
			if err != nil {
				t.Fatalf("what was written is refused: %v\n%q\n%q", err, data, b)
			}
			one, err1 := Append(nil, got, Limits{})
			two, err2 := Append(nil, &Dict{Pairs: d.Pairs[from:]}, Limits{})
			if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
				t.Fatalf("%v, %v\n%q\n%q\n%q", err1, err2, data, one, two)
			}
		}
		if !bytes.Equal(before, data) {
			t.Fatal("the data was changed")
		}
	})
}

package pickle

import (
	"encoding/binary"
	"errors"
	"flag"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bombs are messages made to cost more than they should. They have at
// most n bytes.
var bombs = []struct {
	name string
	make func(n int) string
}{
	// Depth: on the stack, inside out, and through the memo.
	{"MARKs", func(n int) string { return fill(n, "(") }},
	{"MARKs that are used", func(n int) string { return fill(n/2, "(") + fill(n/2, "t") }},
	{"lists never closed", func(n int) string { return fill(n, "]") }},
	{"lists in lists", func(n int) string { return fill(n/2, "]") + fill(n/2, "a") }},
	{"dicts in dicts", func(n int) string { return strings.Repeat("}N", n/8) + fill(n/2, "s") }},
	{"tuples in tuples", func(n int) string { return ")" + fill(n, "\x85") }},
	{"objects in objects", func(n int) string { return "cm\nC\n" + fill(n, ")R") }},
	{"states in states", func(n int) string {
		return "cm\nC\nq\x00" + strings.Repeat("h\x00)\x81", n/8) + strings.Repeat("b", n/8)
	}},
	{"lists linked through the memo", func(n int) string { return linked(n/20, false) }},
	{"lists linked through the memo, the last one first", func(n int) string { return linked(n/20, true) }},
	{"just shallow enough, again and again", func(n int) string {
		return "(" + strings.Repeat(strings.Repeat("]", 998)+strings.Repeat("a", 997), n/2000) + "t"
	}},

	// Numbers of things.
	{"NONEs", func(n int) string { return "(" + fill(n, "N") + "t" }},
	{"small ints", func(n int) string { return "](" + fill(n, "K\x01") + "e" }},
	{"ints", func(n int) string { return "](" + fill(n, "M\x00\x01") + "e" }},
	{"ints one by one", func(n int) string { return "]" + fill(n, "M\x00\x01a") }},
	{"floats", func(n int) string { return "](" + fill(n, "G?\xf8\x00\x00\x00\x00\x00\x01") + "e" }},
	{"big ints", func(n int) string { return "](" + fill(n, "\x8a\x09"+strings.Repeat("\x11", 9)) + "e" }},
	{"the biggest ints", func(n int) string { return "](" + fill(n, "\x8b\x00\x10\x00\x00"+strings.Repeat("\x11", 4096)) + "e" }},
	{"empty texts", func(n int) string { return "](" + fill(n, "X\x00\x00\x00\x00") + "e" }},
	{"lists, as many as are taken", func(n int) string { return "](" + strings.Repeat("]", n/64) + "e" }},
	{"texts, as many as are taken", func(n int) string { return "](" + strings.Repeat("X\x01\x00\x00\x00a", n/64) + "e" }},
	{"texts one by one, as many as are taken", func(n int) string { return "]" + strings.Repeat("X\x01\x00\x00\x00aa", n/66) }},
	{"tuples, as many as are taken", func(n int) string { return "](" + strings.Repeat("N\x85", n/66) + "e" }},
	{"empty tuples", func(n int) string { return "](" + fill(n, ")") + "e" }},
	{"empty lists", func(n int) string { return "](" + fill(n, "]") + "e" }},
	{"empty dicts", func(n int) string { return "](" + fill(n, "}") + "e" }},
	{"lists in the memo", func(n int) string { return "](" + memoised("]", n/8) + "e" }},
	{"texts in the memo", func(n int) string { return "](" + memoised("X\x01\x00\x00\x00a", n/16) + "e" }},
	{"globals", func(n int) string { return "](" + fill(n, "cm\nC\n") + "e" }},
	{"calls", func(n int) string { return "](cm\nC\nq\x00" + fill(n, "h\x00)R") + "e" }},
	{"dates", func(n int) string {
		return "](" + data("\x07\xe8\x02\x1d") + "q\x00cdatetime\ndate\nq\x01" + fill(n, "h\x01h\x00\x85R") + "e"
	}},
	{"pairs", func(n int) string { return "}(" + fill(n, "K\x01N") + "u" }},
	{"pairs one by one", func(n int) string { return "}" + fill(n, "K\x01Ns") }},
	{"APPENDS of nothing", func(n int) string { return "]" + fill(n, "(e") }},
	{"SETITEMS of nothing", func(n int) string { return "}" + fill(n, "(u") }},
	{"BUILDs that repeat a state", func(n int) string { return "cm\nC\n)\x81q\x00}q\x01b" + fill(n, "h\x01b") }},
	{"POPs", func(n int) string { return "]" + fill(n, "N0") }},
	{"DUPs", func(n int) string { return "]" + fill(n, "2") }},

	// Lengths that are not there, and memo entries.
	{"LONG4 of 2^31-1 bytes", func(n int) string { return "\x8b\xff\xff\xff\x7f" }},
	{"BINUNICODE of 2^32-1 bytes", func(n int) string { return "X\xff\xff\xff\xff" }},
	{"BINSTRING of 2^31-1 bytes", func(n int) string { return "T\xff\xff\xff\x7f" }},
	{"LONG_BINPUT of 2^31-1", func(n int) string { return "]r\xff\xff\xff\x7f" }},
	{"LONG_BINGET of 2^31-1", func(n int) string { return "j\xff\xff\xff\x7f" }},
	{"a GLOBAL without an end", func(n int) string { return "c" + fill(n, "x") }},
	{"a long GLOBAL", func(n int) string { return "c" + fill(n, "x") + "\nx\n" }},
	{"a long text of surrogates", func(n int) string {
		s := strings.Repeat("\xed\x95\x9c\xed\xa0\x80", n/8)
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
	}},

	// Sharing: little to say, much to write.
	{"a billion laughs of lists", func(n int) string { return laughs("](", "e") }},
	{"a billion laughs of tuples", func(n int) string { return laughs("(", "t") }},
	{"a billion laughs of sets", func(n int) string { return laughs("h\x00](", "e\x85R") }},
	{"one list in many sets", func(n int) string {
		return "(c__builtin__\nset\nq\x00](" + strings.Repeat("K\x01", n/300) + "e\x85q\x01" + strings.Repeat("h\x00h\x01R", n/8) + "t"
	}},
	{"one text in many bytes", func(n int) string {
		return "(c_codecs\nencode\nq\x00" + long(n/16) + text("latin1") + "\x86q\x01" + strings.Repeat("h\x00h\x01R", n/8) + "t"
	}},
	{"one text in many bytes that it does not fit", func(n int) string {
		return "(c_codecs\nencode\nq\x00" + long(n/16, "\xc4\x80") + text("latin1") + "\x86q\x01" + strings.Repeat("h\x00h\x01R", n/8) + "t"
	}},
	{"one text in many decimals", func(n int) string {
		return "(cdecimal\nDecimal\nq\x00" + strings.Replace(long(n/16), "a", "1", -1) + "\x85q\x01" + strings.Repeat("h\x00h\x01R", n/8) + "t"
	}},
	{"one text again and again", func(n int) string { return "](" + long(n/16) + "q\x00" + strings.Repeat("h\x00", n/16*7) + "e" }},
	{"one list again and again", func(n int) string { return "](]q\x00" + fill(n, "h\x00") + "e" }},
	{"one date again and again", func(n int) string {
		return "](cdatetime\ndate\n" + data("\x07\xe8\x02\x1d") + "\x85Rq\x00" + fill(n, "h\x00") + "e"
	}},
	{"tuples that hold themselves through many lists", func(n int) string {
		// Each list is met first inside the tuple that is not written yet.
		var b strings.Builder
		lists, deep := n/256, 900
		b.WriteString("(" + memoised("]", lists) + "t")
		b.WriteString(strings.Repeat("\x85", deep))
		b.WriteString("r" + string(binary.LittleEndian.AppendUint32(nil, uint32(lists))))
		for i := range lists {
			b.WriteString("j" + string(binary.LittleEndian.AppendUint32(nil, uint32(i))))
			b.WriteString("j" + string(binary.LittleEndian.AppendUint32(nil, uint32(lists))) + "a0")
		}
		return b.String()
	}},
	{"a wide tuple that holds itself through many lists", func(n int) string {
		var b strings.Builder
		lists := n / 256
		b.WriteString("(" + strings.Repeat("K\x01", n/96) + memoised("]", lists) + "t")
		b.WriteString("r" + string(binary.LittleEndian.AppendUint32(nil, uint32(lists))))
		for i := range lists {
			b.WriteString("j" + string(binary.LittleEndian.AppendUint32(nil, uint32(i))))
			b.WriteString("j" + string(binary.LittleEndian.AppendUint32(nil, uint32(lists))) + "a0")
		}
		return b.String()
	}},
}

// fill repeats s to n bytes.
func fill(n int, s string) string { return strings.Repeat(s, n/len(s)) }

// memoised is s n times, each in the memo, which was empty.
func memoised(s string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(s)
		if i < 256 {
			b.WriteString("q" + string([]byte{byte(i)}))
		} else {
			b.WriteString("r")
			b.Write(binary.LittleEndian.AppendUint32(nil, uint32(i)))
		}
	}
	return b.String()
}

// long is a text of n letters and what follows.
func long(n int, end ...string) string {
	s := strings.Repeat("a", n) + strings.Join(end, "")
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// linked is a chain of n lists, each put into the one before it: from the first
// one, while that is in another already, or from the last.
func linked(n int, backwards bool) string {
	var b strings.Builder
	b.WriteString("(" + memoised("]", n) + "1")
	for i := range n - 1 {
		if backwards {
			i = n - 2 - i
		}
		b.Write(binary.LittleEndian.AppendUint32([]byte{'j'}, uint32(i)))
		b.Write(binary.LittleEndian.AppendUint32([]byte{'j'}, uint32(i+1)))
		b.WriteString("a0")
	}
	b.WriteString("h\x00")
	return b.String()
}

// laughs is a hundred containers, each of the one before it ten times.
func laughs(open, end string) string {
	var b strings.Builder
	b.WriteString("c__builtin__\nfrozenset\nq\x00")
	for i := range 100 {
		b.WriteString("0" + open)
		b.WriteString(strings.Repeat("h"+string([]byte{byte(i)}), 10))
		b.WriteString(end + "q" + string([]byte{byte(i + 1)}))
	}
	return b.String()
}

var bombSize = flag.Int("bombs", DefaultMessage/8, "how many bytes the largest bombs have; the memory budget is twice that")

// No message makes Decode take more memory than its limit, nor a time that anybody
// notices; and what it returns does not make Append do so. At full size each is meant to
// take at most 50 ms of processor time, the garbage collector's too, and 64 MB; the log
// says what it took:
// go test ./internal/pickle -run TestBombs -v -bombs 16777216 -cpu 1
// With one processor, or what the collector does only because another one is idle counts.
func TestBombs(t *testing.T) {
	limits := Limits{Message: *bombSize, Memory: 2 * *bombSize}
	for _, c := range bombs {
		p := whole(c.make(*bombSize - 4096))
		if len(p) > limits.Message {
			t.Fatalf("%s has %d bytes", c.name, len(p))
		}
		var v Value
		took, bytes, err := spent(func() (err error) { v, err = Decode(p, limits); return err })
		t.Logf("%-50s %8d bytes: read in %5.1f ms, %5.1f MB: %.90v", c.name, len(p), took.Seconds()*1e3, bytes/1e6, err)
		// The decoder itself is not charged, and the runtime allocates too.
		if bytes > float64(limits.Memory)+1.125*float64(len(p))+128<<10 {
			t.Errorf("%s: reading took %.1f MB", c.name, bytes/1e6)
		}
		if took > 5*time.Second {
			t.Errorf("%s: reading took %v", c.name, took)
		}
		var e *Error
		if err != nil {
			if v != nil || !errors.As(err, &e) {
				t.Errorf("%s: %v, %T", c.name, v, err)
			}
			continue
		}
		var out []byte
		took, bytes, err = spent(func() (err error) { out, err = Append(nil, v, limits); return err })
		t.Logf("%-50s %8d bytes: written in %5.1f ms, %5.1f MB: %.90v", "", len(out), took.Seconds()*1e3, bytes/1e6, err)
		most := 2 * float64(limits.Memory)
		if raceEnabled { // it throws away what sync.Pool is given, math/big's scratch too
			most *= 1.25
		}
		if bytes > most {
			t.Errorf("%s: writing took %.1f MB", c.name, bytes/1e6)
		}
		if took > 5*time.Second {
			t.Errorf("%s: writing took %v", c.name, took)
		}
		if err != nil && !(errors.As(err, &e) && e.TooLarge) || len(out) > limits.Message {
			t.Errorf("%s: %d bytes, %v", c.name, len(out), err)
		}
	}
}

// spent is how much processor time f takes and how much it allocates, whether or not it
// is collected. What is collected meanwhile counts.
func spent(f func() error) (time.Duration, float64, error) {
	var before, after runtime.MemStats
	runtime.GC() // not what was left by others
	runtime.ReadMemStats(&before)
	start := cpu()
	err := f()
	took := cpu() - start
	runtime.ReadMemStats(&after)
	return took, float64(after.TotalAlloc - before.TotalAlloc), err
}

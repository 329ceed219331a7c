package pickle

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The long run: go test ./internal/pickle -run TestCPythonRandom -random 200000
var (
	randomCount = flag.Int("random", 500, "how many random values CPython makes")
	randomSeed  = flag.Int("random-seed", 1, "with which seed")
)

// python runs testdata/oracle.py, and skips the test where there is no python3.
func python(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here, so there is no CPython to compare with")
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"testdata/oracle.py"}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oracle.py %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func record(dst, p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(p))), p...)
}

// compare fails t for each pair of pickles that CPython loads as different values.
func compare(t *testing.T, pairs [][2][]byte, name func(i int) string) {
	t.Helper()
	var in []byte
	for _, p := range pairs {
		in = record(record(in, p[0]), p[1])
	}
	lines := strings.Split(strings.TrimSpace(string(python(t, in, "compare"))), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "compared "+strconv.Itoa(len(pairs))+",") {
		t.Fatalf("CPython says %q, and there were %d pairs", last, len(pairs))
	}
	t.Log("CPython " + last)
	for i, line := range lines[:len(lines)-1] {
		if i == 10 {
			t.Errorf("and %d more", len(lines)-1-i)
			break
		}
		at, why, _ := strings.Cut(line, ": ")
		n, err := strconv.Atoi(at)
		if err != nil {
			t.Fatal(line)
		}
		t.Errorf("%s: %s\n in: %.300x\nout: %.300x", name(n), why, pairs[n][0], pairs[n][1])
	}
}

// What pulsar sent means the same to CPython after it went through here.
func TestCPythonReadsCaptured(t *testing.T) {
	var pairs [][2][]byte
	frames := corpus(t)
	for _, f := range frames {
		out, err := Append(nil, decoded(t, f.pickle), Limits{})
		if err != nil {
			t.Fatalf("%s: %v", f.File, err)
		}
		pairs = append(pairs, [2][]byte{f.pickle, out})
	}
	compare(t, pairs, func(i int) string { return frames[i].File })
}

// Whatever CPython pickles is read here, and what is written here CPython loads as
// the same value, with the same sharing.
func TestCPythonRandom(t *testing.T) {
	const most = 5000 // at a time
	for done := 0; done < *randomCount; done += most {
		n := min(most, *randomCount-done)
		seed := strconv.Itoa(*randomSeed + done)
		all := python(t, nil, "generate", seed, strconv.Itoa(n))
		var pairs [][2][]byte
		same := 0
		for len(all) > 0 {
			size := binary.BigEndian.Uint32(all)
			p := all[4:][:size]
			all = all[4+size:]
			v, err := Decode(p, Limits{})
			if err != nil {
				t.Errorf("seed %s, value %d: %v\n%x", seed, len(pairs), err, p)
				v = None{}
			}
			out, err := Append(nil, v, Limits{})
			if err != nil {
				t.Errorf("seed %s, value %d: %v\n%x", seed, len(pairs), err, p)
			}
			if bytes.Equal(p, out) {
				same++
			}
			pairs = append(pairs, [2][]byte{p, out})
		}
		if len(pairs) != n {
			t.Fatalf("CPython made %d values, not %d", len(pairs), n)
		}
		compare(t, pairs, func(i int) string { return "seed " + seed + ", value " + strconv.Itoa(i) })
		t.Logf("seed %s: %d of %d are written byte for byte as CPython did", seed, same, n)
	}
}

// What is accepted here means to CPython what it is written as again: no message
// says one thing to this reader and another to the next. The messages are those
// captured, and those of TestDecode, changed here and there.
func TestCPythonMutated(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(*randomSeed), 0))
	var seeds [][]byte
	for _, f := range corpus(t) {
		if len(f.pickle) < 400 {
			seeds = append(seeds, f.pickle)
		}
	}
	for range 4 {
		for _, c := range accepted {
			seeds = append(seeds, whole(c.body))
		}
	}
	var pairs [][2][]byte
	tried := 0
	for len(pairs) < *randomCount {
		p := slices.Clone(seeds[r.IntN(len(seeds))])
		for range 1 + r.IntN(3) {
			p = mutate(r, p, seeds[r.IntN(len(seeds))])
		}
		tried++
		v, err := Decode(p, Limits{})
		if err != nil {
			continue
		}
		out, err := Append(nil, v, Limits{})
		if err != nil {
			t.Errorf("%v: %q", err, p)
			continue
		}
		pairs = append(pairs, [2][]byte{p, out})
	}
	t.Logf("%d of %d are accepted", len(pairs), tried)
	compare(t, pairs, func(i int) string { return fmt.Sprintf("%q", pairs[i][0]) })
}

// mutate changes p in one place. other is another message.
func mutate(r *rand.Rand, p, other []byte) []byte {
	at := 2 + r.IntN(len(p)-2)
	end := min(len(p), at+r.IntN(12))
	switch r.IntN(6) {
	case 0:
		p[at] = byte(r.IntN(256))
	case 1:
		p[at] ^= 1 << r.IntN(8)
	case 2:
		const opcodes = "(.01JKMNRXabcehqstu)]}G\x81\x85\x86\x87\x88\x8a"
		p = slices.Insert(p, at, opcodes[r.IntN(len(opcodes))])
	case 3:
		p = slices.Delete(p, at, end)
	case 4:
		p = slices.Insert(p, at, slices.Clone(p[at:end])...)
	case 5:
		from := 2 + r.IntN(len(other)-2)
		p = slices.Insert(p, at, other[from:min(len(other), from+r.IntN(24))]...)
	}
	if len(p) < 3 {
		p = whole("N")
	}
	return p
}

package arbiter_test

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// TestProtocolPage: the hello that docs/protocol.md spells out is welcome.
func TestProtocolPage(t *testing.T) {
	page, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(page), "The smallest hello")
	if !ok {
		t.Fatal("the page has no smallest hello")
	}
	block = strings.Split(block, "```")[1]
	var digits strings.Builder
	for line := range strings.Lines(block) {
		for word := range strings.FieldsSeq(line) {
			if len(word) != 2 {
				break
			}
			if _, err := hex.DecodeString(word); err != nil {
				break
			}
			digits.WriteString(word)
		}
	}
	hello, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	c, err := net.Dial("unix", strings.TrimPrefix(w.address("unix:"), "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r := &raw{t: t, c: c, r: frame.NewReader(c, frame.Options{})}
	r.write(hello)
	m, err := r.next()
	if err != nil || m.Kind != wire.KindWelcome {
		t.Fatalf("the answer to %x is a %v, %v", hello, m.Kind, err)
	}
}

// TestJSONPage: the hello of docs/json.md is welcome, and the welcome has what the
// page says; its requests are answered.
func TestJSONPage(t *testing.T) {
	page, err := os.ReadFile("docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for n, block := range strings.Split(string(page), "```json\n") {
		if n > 0 {
			text, _, _ := strings.Cut(block, "```")
			blocks = append(blocks, text)
		}
	}
	if len(blocks) != 3 {
		t.Fatalf("the page has %d blocks of JSON, want a hello, a welcome and some requests", len(blocks))
	}
	w := newWorld(t)
	w.spawn(Subject, actor.Name("tally"))
	c, err := net.Dial("unix", strings.TrimPrefix(w.address("unix:"), "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	p := &typist{t: t, c: c, r: frame.NewReader(c, frame.Options{})}
	p.say("%s", blocks[0])
	got := p.await("welcome")
	var want map[string]any
	if err := json.Unmarshal([]byte(blocks[1]), &want); err != nil {
		t.Fatal(err)
	}
	if a, b := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(a, b) {
		t.Errorf("the welcome has %v, the page says %v", a, b)
	}
	request, answer, _ := strings.Cut(blocks[2], "\n")
	answer, _, _ = strings.Cut(answer, "\n")
	p.say("%s", request)
	p.expect(answer)
}

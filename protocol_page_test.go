package arbiter_test

import (
	"encoding/hex"
	"net"
	"os"
	"strings"
	"testing"
	"time"

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

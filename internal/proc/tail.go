package proc

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	defaultTail = 20
	maxTailLine = 1 << 10
)

// tail keeps the last lines it is given. A nil tail keeps none.
type tail struct {
	mu   sync.Mutex
	max  int
	kept []string // a ring once it is full
	next int      // where the oldest is, and the next one goes, once it is full
}

// newTail returns a tail for what Spec.Tail says.
func newTail(n int) *tail {
	if n == 0 {
		n = defaultTail
	}
	if n < 0 {
		return nil
	}
	return &tail{max: n}
}

// add keeps the beginning of line, if it is not blank.
func (t *tail) add(line []byte) {
	if t == nil || len(bytes.TrimSpace(line)) == 0 {
		return
	}
	text := keepLine(line, maxTailLine)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) < t.max {
		t.kept = append(t.kept, text)
		return
	}
	t.kept[t.next] = text
	t.next = (t.next + 1) % t.max
}

// keepLine returns at most limit bytes of line as valid UTF-8: it will be text in a
// message.
func keepLine(line []byte, limit int) string {
	cut := len(line) > limit
	if cut {
		line = line[:limit]
	}
	text := strings.ToValidUTF8(string(line), string(utf8.RuneError))
	const more = "…"
	if !cut && len(text) <= limit {
		return text
	}
	end := min(len(text), limit-len(more))
	for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}

// lines returns what is kept, oldest first.
func (t *tail) lines() []string {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) == 0 {
		return nil
	}
	lines := make([]string, 0, len(t.kept))
	lines = append(lines, t.kept[t.next:]...)
	return append(lines, t.kept[:t.next]...)
}

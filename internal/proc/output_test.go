package proc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stopped is a writer that takes nothing until it is released.
type stopped struct {
	released chan struct{}
	bytes.Buffer
}

func (s *stopped) Write(b []byte) (int, error) {
	<-s.released
	return s.Buffer.Write(b)
}

// TestOutputOfNobody: who prints to what nobody reads is kept for a tenth of a second,
// once, whatever it prints. What was lost is counted, and told when it is read again.
func TestOutputOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stopped{released: make(chan struct{})}
		o := NewOutput(w)
		line := bytes.Repeat([]byte("x"), 1100)
		began := time.Now()
		const lines = 10_000
		for range lines {
			o.Line("web/1", line[:1000])
		}
		if _, err := o.Write(append(line, '\n')); err == nil {
			t.Error("what was lost was told to be written")
		}
		if took := time.Since(began); took > logWait {
			t.Errorf("it was kept for %v", took)
		}
		lost := o.Lost()
		if lost < lines-2*maxPending/1000 || lost > lines { // it holds so much, and as much is being written
			t.Errorf("%d of %d lines were lost", lost, lines)
		}
		close(w.released)
		synctest.Wait()
		o.Line("web/1", []byte("the end"))
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		text := w.String()
		if note := fmt.Sprintf("%d lines are missing here", lost); !strings.Contains(text, note) {
			t.Errorf("nothing says %q", note)
		}
		if n := strings.Count(text, "web/1 | xxx"); uint64(n) != lines+1-lost {
			t.Errorf("%d lines were written, and %d of %d lost", n, lost, lines+1)
		}
		if !strings.HasSuffix(text, "web/1 | the end\n") {
			t.Errorf("it ends with %q", text[max(len(text)-200, 0):])
		}
	})
}

// TestOutputNeverRead: the end of an output that nobody reads is not for ever.
func TestOutputNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stopped{released: make(chan struct{})}
		o := NewOutput(w)
		o.Line("web/1", []byte("hello"))
		synctest.Wait()
		if err := o.Close(); err == nil {
			t.Error("it was written")
		}
		o.Line("web/1", []byte("too late"))
		if _, err := o.Write([]byte("too late\n")); err == nil {
			t.Error("it was written after the end")
		}
		close(w.released)
		<-o.done
		if text := w.String(); text != "web/1 | hello\n" {
			t.Errorf("%q", text)
		}
	})
}

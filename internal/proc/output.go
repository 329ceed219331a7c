package proc

import (
	"errors"
	"fmt"
	"io"
)

// Output writes lines to something that may take them slowly, or not at all: a
// terminal that was stopped (^S), a pipe that nobody reads. Who writes waits for a
// tenth of a second when there is 1 MiB to be written; from then on lines are lost
// until it takes some again, and it is told how many there were. All methods may be
// called concurrently.
type Output struct {
	w io.Writer // owned by write
	backlog
}

// NewOutput returns an output to w, of which one goroutine writes whole lines. Close
// ends it.
func NewOutput(w io.Writer) *Output {
	o := &Output{w: w, backlog: newBacklog()}
	go o.write()
	return o
}

// Line writes a line of who's. After Close it does nothing.
func (o *Output) Line(who string, line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || !o.reserve(len(who)+len(" | \n")+len(line)) {
		return
	}
	o.pending = append(append(o.pending, who...), " | "...)
	o.pending = append(append(o.pending, line...), '\n')
	o.nudge()
}

// Write writes b, which is whole lines. An error says that they are lost.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, io.ErrClosedPipe
	}
	if !o.reserve(len(b)) {
		return 0, errNotTaken
	}
	o.pending = append(o.pending, b...)
	o.nudge()
	return len(b), nil
}

var errNotTaken = errors.New("lost: nobody reads what was written before")

// Lost is how many lines were lost.
func (o *Output) Lost() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

func (o *Output) write() {
	defer close(o.done)
	o.drain(func(text []byte, dropped int) int {
		if len(text) > 0 {
			_, _ = o.w.Write(text) // if it fails there is nowhere to say so
		}
		if dropped > 0 {
			_, _ = fmt.Fprintf(o.w, "%d lines are missing here: nobody read those before them\n", dropped)
		}
		return 0
	})
}

// Close ends the output: what was written before is handed on. It returns an error
// if not all of it was taken within 2 s; the goroutine that writes then ends when the
// write it is in does.
func (o *Output) Close() error {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.stop)
	}
	o.mu.Unlock()
	if !o.drained() {
		return errors.New("what was printed was not written to its end: nobody reads it")
	}
	return nil
}

package proc

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Stream says where a line of a Log comes from.
type Stream uint8

// The streams.
const (
	Stdout Stream = iota
	Stderr
	Note // who keeps the log: see Log.Note
)

// String returns what the line is marked with in the file: three letters.
func (s Stream) String() string {
	switch s {
	case Stdout:
		return "out"
	case Stderr:
		return "err"
	}
	return "---"
}

// LogOptions say what a Log keeps. The zero value keeps lines in memory only.
type LogOptions struct {
	// Path is the file; its directory is made if it is missing. No other Log, and no
	// other process, may write it. "": none.
	Path string
	// MaxBytes is how large the file may become, in bytes: then it is renamed to
	// Path.1, that to Path.2, and so on. Only a line that is larger makes a larger
	// file, of its own. Default 10 MiB.
	MaxBytes int64
	// Files is how many there are at most, with the one that is written. Default 5;
	// with 1 it is emptied when it is full.
	Files int

	// Lines and Bytes are how much is kept in memory at most: of the last lines, up
	// to 4 KiB each. Default 1,000 lines and 256 KiB.
	Lines, Bytes int

	Logger *slog.Logger // where it is said that lines are lost, and why; default: nowhere
}

const (
	defaultLogBytes  = 10 << 20
	defaultLogFiles  = 5
	defaultRingLines = 1000
	defaultRingBytes = 256 << 10
)

// Log keeps the lines that processes write: the last ones in memory, where they can
// be read and followed, and more of them in a file that is renamed when it is full.
// Its methods Stdout and Stderr are for Spec.Stdout and Spec.Stderr, of one process
// after the other, or of several at once.
//
// In the file a line is
//
//	2026-01-02T15:04:05.678Z err what the process wrote, of any bytes
//
// with the time in UTC at which it was read here. A line of more than MaxLine bytes
// is several, all but the first of which begin with Continued. In memory only its
// beginning is kept.
//
// A process is not kept waiting by its log. If the file cannot be written, because
// the disk is full, lines are lost: they are counted, the file says how many there
// were as soon as it can be written again, and the Logger says so when it begins.
// If the disk takes nothing at all, the process waits for a tenth of a second, when
// there is 1 MiB to be written, and from then on lines are lost. What is kept in
// memory does not depend on the file.
//
// The file is not synced: what the machine has not written when its power fails is
// lost. All methods may be called concurrently.
type Log struct {
	file    *logFile // nil: none; owned by drain
	backlog          // of the file; its mu guards what follows, too
	ring    ring
	long    [2]bool       // of Stdout and Stderr: the last line was cut, and may be continued
	changed chan struct{} // closed with the next line, if somebody waits for it; or nil
}

// OpenLog returns a log. It fails only if the file cannot be opened.
func OpenLog(o LogOptions) (*Log, error) {
	l := &Log{
		ring:    ring{maxLines: orDefault(o.Lines, defaultRingLines), maxBytes: orDefault(o.Bytes, defaultRingBytes)},
		backlog: newBacklog(),
	}
	if o.Path == "" {
		close(l.done)
		return l, nil
	}
	l.file = newLogFile(&o)
	if err := l.file.openFirst(); err != nil {
		return nil, fmt.Errorf("the log cannot be written: %w", err)
	}
	go l.write()
	return l, nil
}

func orDefault[T int | int64](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Stdout adds a line of standard output.
func (l *Log) Stdout(line []byte) { l.add(Stdout, line) }

// Stderr adds a line of standard error.
func (l *Log) Stderr(line []byte) { l.add(Stderr, line) }

// Note adds a line of ours, about the process.
func (l *Log) Note(line string) { l.add(Note, []byte(line)) }

// add keeps line. After Close it does nothing.
func (l *Log) add(s Stream, line []byte) {
	now := time.Now()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	if !l.continues(s, line) {
		l.ring.add(Line{Time: now, Stream: s, Text: keepLine(line, maxRingLine)})
		if l.changed != nil {
			close(l.changed)
			l.changed = nil
		}
	}
	if l.file != nil {
		l.appendPending(now, s, line)
	}
	l.mu.Unlock()
}

// continues reports whether line is a further piece of a long one. It takes the lock
// to be held.
func (l *Log) continues(s Stream, line []byte) bool {
	if s == Note {
		return false
	}
	was := l.long[s]
	// All pieces but the last are so long, and no line is that is none: see lines.cut.
	l.long[s] = len(line) >= MaxLine-3
	return was && len(line) > len(Continued) && string(line[:len(Continued)]) == Continued
}

// appendPending has line written. It takes the lock to be held, and may let it go in
// between.
func (l *Log) appendPending(now time.Time, s Stream, line []byte) {
	const timeFormat = "2006-01-02T15:04:05.000Z"
	if !l.reserve(len(timeFormat) + len(" out \n") + len(line)) {
		return
	}
	l.pending = now.UTC().AppendFormat(l.pending, timeFormat)
	l.pending = append(l.pending, ' ')
	l.pending = append(l.pending, s.String()...)
	l.pending = append(l.pending, ' ')
	l.pending = append(append(l.pending, line...), '\n')
	l.nudge()
}

// write writes what waits to be written, until the end.
func (l *Log) write() {
	defer close(l.done)
	l.drain(l.file.append)
	l.file.close()
}

// Lost is how many lines, or pieces of one, are not in the file, because it could
// not be written.
func (l *Log) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Last returns the last n lines, oldest first, or as many as are kept in memory. It
// may still be called after Close.
func (l *Log) Last(n int) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ring.from(l.ring.end()-uint64(min(max(n, 0), l.ring.len())), n)
}

// Follow returns a follower that begins with the last n lines, or as many as are
// kept in memory. It needs no end.
func (l *Log) Follow(n int) *Follower {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Follower{log: l, next: l.ring.end() - uint64(min(max(n, 0), l.ring.len()))}
}

// Follower reads the lines of a log as they come. It costs the log nothing: what it
// has not read by the time it is no longer kept in memory it has lost. It is for one
// goroutine.
type Follower struct {
	log  *Log
	next uint64 // the number of the next line
}

// maxBatch is how many lines Next returns at most.
const maxBatch = 100

// Next returns the next lines, at most 100, oldest first, and how many there were
// before them that this follower has lost, because it was too slow. If there is none
// yet it waits for one. Once the log is closed and all were returned it returns
// io.EOF, and the cause of ctx when that has ended.
func (f *Follower) Next(ctx context.Context) (lines []Line, lost uint64, err error) {
	l := f.log
	for {
		l.mu.Lock()
		if first := l.ring.first; f.next < first {
			lost += first - f.next
			f.next = first
		}
		if lines = l.ring.from(f.next, maxBatch); len(lines) > 0 {
			f.next += uint64(len(lines))
			l.mu.Unlock()
			return lines, lost, nil
		}
		if l.closed {
			l.mu.Unlock()
			return nil, lost, io.EOF
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, lost, context.Cause(ctx)
		}
	}
}

// Close ends the log: what was added before is written, what is added from now on is
// not kept, and followers end. It returns an error if the disk has not taken
// everything within 2 s; the file is closed then as soon as it has.
func (l *Log) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
		if l.changed != nil {
			close(l.changed)
			l.changed = nil
		}
	}
	l.mu.Unlock()
	if !l.drained() {
		return fmt.Errorf("the log %s is not written to its end: the disk does not answer", l.file.path)
	}
	return nil
}

package proc

import (
	"fmt"
	"log/slog"
	"time"
)

// LogOptions say what a Log keeps, and where.
type LogOptions struct {
	// Path is the file; its directory is made if it is missing. No other Log, and no
	// other process, may write it.
	Path string
	// MaxBytes is how large the file may become, in bytes: then it is renamed to
	// Path.1, that to Path.2, and so on. Only a line that is larger makes a larger
	// file, of its own. Default 10 MiB.
	MaxBytes int64
	// Files is how many there are at most, with the one that is written. Default 5;
	// with 1 it is emptied when it is full.
	Files int

	Logger *slog.Logger // where it is said that lines are lost, and why; default: nowhere
}

const (
	defaultLogBytes = 10 << 20
	defaultLogFiles = 5
)

// Log keeps the lines that processes write in a file that is renamed when it is full.
// Its methods Stdout and Stderr are for Spec.Stdout and Spec.Stderr, of one process
// after the other, or of several at once.
//
// In the file a line is
//
//	2026-01-02T15:04:05.678Z err what the process wrote, of any bytes
//
// with the time in UTC at which it was read here. A line of more than MaxLine bytes
// is several, all but the first of which begin with Continued.
//
// A process is not kept waiting by its log. If the file cannot be written, because
// the disk is full, lines are lost: they are counted, the file says how many there
// were as soon as it can be written again, and the Logger says so when it begins.
// If the disk takes nothing at all, the process waits for a tenth of a second, when
// there is 1 MiB to be written, and from then on lines are lost.
//
// The file is not synced: what the machine has not written when its power fails is
// lost. All methods may be called concurrently.
type Log struct {
	file *logFile // owned by write
	backlog
}

// OpenLog returns a log. It fails only if the file cannot be opened.
func OpenLog(o LogOptions) (*Log, error) {
	l := &Log{file: newLogFile(&o), backlog: newBacklog()}
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
func (l *Log) Stdout(line []byte) { l.add("out", line) }

// Stderr adds a line of standard error.
func (l *Log) Stderr(line []byte) { l.add("err", line) }

// add has line written, marked with three letters. After Close it does nothing.
func (l *Log) add(mark string, line []byte) {
	const timeFormat = "2006-01-02T15:04:05.000Z"
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.reserve(len(timeFormat)+len(" out \n")+len(line)) {
		return
	}
	l.pending = now.UTC().AppendFormat(l.pending, timeFormat)
	l.pending = append(l.pending, ' ')
	l.pending = append(l.pending, mark...)
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

// Close ends the log: what was added before is written, what is added from now on is
// not kept. It returns an error if the disk has not taken
// everything within 2 s; the file is closed then as soon as it has.
func (l *Log) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
	}
	l.mu.Unlock()
	if !l.drained() {
		return fmt.Errorf("the log %s is not written to its end: the disk does not answer", l.file.path)
	}
	return nil
}

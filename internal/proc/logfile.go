package proc

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// sink is what a logFile writes to: an *os.File.
type sink interface {
	Write(b []byte) (int, error)
	Truncate(size int64) error
	Close() error
}

// logFile is the file of a Log, and those that it was before. It is for one
// goroutine.
type logFile struct {
	path   string
	max    int64
	files  int
	logger *slog.Logger
	open   func(path string) (file sink, size int64, torn bool, err error)

	file sink // nil: it could not be opened again
	size int64
	torn bool      // its last line has no end
	lost int       // lines since the last that was written
	said time.Time // when something was said last
}

// sayEvery is how long nothing more is said, however much is lost.
const sayEvery = time.Minute

func newLogFile(o *LogOptions) *logFile {
	f := &logFile{
		path: o.Path, max: orDefault(o.MaxBytes, defaultLogBytes), files: orDefault(o.Files, defaultLogFiles),
		logger: o.Logger, open: openLogFile,
	}
	if f.logger == nil {
		f.logger = slog.New(slog.DiscardHandler)
	}
	return f
}

// openLogFile opens a file to be written at its end. torn says that its last line
// has none.
func openLogFile(path string) (_ sink, size int64, torn bool, err error) {
	// A pipe that nobody reads would not even let itself be opened.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, 0, false, fmt.Errorf("%q is not a regular file", path)
	}
	// What programs say is for nobody else to read.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, false, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, false, err
	}
	size = info.Size()
	last := []byte{'\n'}
	if size > 0 { // who wrote it last may have been killed
		_, _ = file.ReadAt(last, size-1)
	}
	return file, size, last[0] != '\n', nil
}

// openFirst opens the file for the first time.
func (f *logFile) openFirst() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	return f.reopen()
}

func (f *logFile) reopen() error {
	file, size, torn, err := f.open(f.path)
	if err != nil {
		return err
	}
	f.file, f.size, f.torn = file, size, torn
	return nil
}

// append writes text, which is whole lines. dropped is how many there were before
// them that could not even wait to be written. It returns how many of text are lost.
func (f *logFile) append(text []byte, dropped int) (lost int) {
	if dropped > 0 {
		f.lose(dropped, errors.New("the disk is too slow"))
	}
	for len(text) > 0 {
		n, err := f.fitting(text)
		written := 0
		if err == nil {
			written, err = f.write(text[:n])
		}
		if err != nil {
			count := bytes.Count(text[written:n], []byte{'\n'})
			if written > 0 && text[written-1] != '\n' && text[written] == '\n' {
				count-- // of this one only the end is missing, which it will be given
			}
			lost += count
			f.lose(count, err)
		}
		text = text[n:]
	}
	return lost
}

// fitting returns how many bytes of text go into the file now, after it has made
// room: whole lines, one at least.
func (f *logFile) fitting(text []byte) (n int, err error) {
	if f.file == nil {
		if err := f.reopen(); err != nil {
			return len(text), err
		}
	}
	for {
		n = len(text)
		if room := f.max - f.size - int64(len(f.gap())); int64(n) > room {
			n = bytes.LastIndexByte(text[:max(room, 0)], '\n') + 1
		}
		if n > 0 {
			return n, nil
		}
		if f.size == 0 {
			return bytes.IndexByte(text, '\n') + 1, nil // this one is larger than a file
		}
		if err := f.rotate(); err != nil {
			return len(text), err
		}
	}
}

// write writes text, and before it how many lines are missing there. It returns how
// much of text is written.
func (f *logFile) write(text []byte) (written int, err error) {
	gap := f.gap()
	if len(gap) > 0 {
		text = append(gap, text...)
	}
	before := len(gap)
	n, err := f.file.Write(text)
	f.size += int64(n)
	if n > 0 {
		f.torn = text[n-1] != '\n'
	}
	if n > before || err == nil {
		f.lost = 0
	}
	return max(n-before, 0), err
}

// gap returns what is to be written before the next line: how many are missing there.
func (f *logFile) gap() (b []byte) {
	if f.torn {
		b = append(b, '\n')
	}
	if f.lost > 0 {
		b = fmt.Appendf(b, "%d lines are missing here: they could not be written\n", f.lost)
	}
	return b
}

// rotate makes the file an old one, and begins anew.
func (f *logFile) rotate() error {
	var failed error
	if f.files > 1 {
		f.file.Close() // or some systems do not rename it
		f.file = nil
		for i := f.files - 2; i >= 0; i-- {
			// Older ones may be missing. If they cannot be renamed, the next is written
			// over them.
			failed = os.Rename(f.name(i), f.name(i+1))
		}
		if err := f.reopen(); err != nil {
			return err
		}
	}
	if f.size > 0 { // it must not grow
		if failed != nil {
			f.say("a log is emptied: it cannot be renamed", failed)
		}
		if err := f.file.Truncate(0); err != nil {
			return err
		}
	}
	f.size, f.torn = 0, false
	return nil
}

// name returns that of the file after i renamings.
func (f *logFile) name(i int) string {
	if i == 0 {
		return f.path
	}
	return fmt.Sprintf("%s.%d", f.path, i)
}

// lose takes note of n lost lines.
func (f *logFile) lose(n int, why error) {
	f.lost += n
	f.say("lines of a log are lost", why)
}

func (f *logFile) say(what string, why error) {
	if now := time.Now(); f.said.IsZero() || now.Sub(f.said) > sayEvery {
		f.said = now
		f.logger.Warn(what, "file", f.path, "error", why)
	}
}

func (f *logFile) close() {
	if f.file == nil {
		return
	}
	if f.lost > 0 {
		_, _ = f.write(nil)
	}
	f.file.Close()
}

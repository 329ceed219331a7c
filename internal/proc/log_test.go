//go:build unix

package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func openLog(t *testing.T, o LogOptions) *Log {
	t.Helper()
	l, err := OpenLog(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// wrote returns the lines of a log's file, without their times.
func wrote(t *testing.T, path string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if stamp, rest, _ := strings.Cut(string(line), " "); len(stamp) == len("2006-01-02T15:04:05.000Z") {
			if _, err := time.Parse(time.RFC3339, stamp); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
			line = []byte(rest)
		}
		lines = append(lines, string(line))
	}
	return lines
}

// TestLogOfALongLine: it is in the file in pieces, and nothing of it is lost.
func TestLogOfALongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := openLog(t, LogOptions{Path: path})
	text := "before\n" + strings.Repeat("x", 5*MaxLine) + "\n" + Continued + "says the program\nafter\n"
	cut := lines{emit: func(line []byte, _ bool) { l.Stdout(line) }}
	for len(text) > 0 {
		n := copy(cut.space(), text)
		text = text[n:]
		cut.add(n)
	}
	l.Close()
	got := wrote(t, path)
	if len(got) != 9 || got[0] != "out before" || !strings.HasPrefix(got[2], "out "+Continued+"xxx") || got[8] != "out after" {
		t.Errorf("in the file are %d lines, %.60q", len(got), got)
	}
	if n := strings.Count(strings.Join(got, ""), "x"); n != 5*MaxLine {
		t.Errorf("%d bytes of %d are in the file", n, 5*MaxLine)
	}
}

func TestLogFilesAreRotated(t *testing.T) {
	const files, most, lines = 3, 1000, 200
	dir := filepath.Join(t.TempDir(), "new", "directory")
	path := filepath.Join(dir, "log")
	l := openLog(t, LogOptions{Path: path, MaxBytes: most, Files: files})
	for n := range lines {
		l.Stderr(fmt.Appendf(nil, "line %d", n))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range []string{"log.2", "log.1", "log"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most || info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes, mode %v", name, info.Size(), info.Mode())
		}
		all = append(all, wrote(t, filepath.Join(dir, name))...)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != files {
		t.Errorf("%d files, %v", len(entries), err)
	}
	if len(all) < 50 {
		t.Errorf("%d lines are left", len(all))
	}
	for i, line := range all {
		if want := fmt.Sprintf("err line %d", lines-len(all)+i); line != want {
			t.Fatalf("line %d is %q, want %q", i, line, want)
		}
	}
}

func TestLogOfOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := openLog(t, LogOptions{Path: path, MaxBytes: 200, Files: 1})
	for n := range 100 {
		l.Stdout(fmt.Appendf(nil, "line %d", n))
	}
	l.Stdout(bytes.Repeat([]byte{'x'}, 500)) // alone
	l.Stdout([]byte("last"))
	l.Close()
	if got := wrote(t, path); !slices.Equal(got, []string{"out last"}) {
		t.Errorf("the file has %.100q", got)
	}
	if l.Lost() != 0 {
		t.Errorf("%d lines are lost", l.Lost())
	}
}

// TestLogGoesOn: where another has ended, even in the middle of a line.
func TestLogGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("2026-01-02T15:04:05.678Z out a line cut sho"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, LogOptions{Path: path})
	l.Stdout([]byte("next"))
	l.Close()
	if got := wrote(t, path); !slices.Equal(got, []string{"out a line cut sho", "out next"}) {
		t.Errorf("the file has %q", got)
	}
}

func TestLogCannotBeOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(file, "log"), filepath.Dir(file), "/dev/full"} {
		if _, err := OpenLog(LogOptions{Path: path}); err == nil || !strings.Contains(err.Error(), "cannot be written") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// said is a slog.Handler that counts.
type said struct {
	slog.Handler
	mu sync.Mutex
	n  int
}

func (s *said) Enabled(context.Context, slog.Level) bool { return true }
func (s *said) Handle(context.Context, slog.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return nil
}

func (s *said) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// TestDiskFull: nobody waits for it, what is lost is counted, and said once.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	logger := &said{}
	f := newLogFile(&LogOptions{Path: path, Logger: slog.New(logger)})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full:", err)
	}
	if err := f.openFirst(); err != nil {
		t.Fatal(err)
	}
	disk := f.file
	if n := f.append([]byte("a\n"), 0); n != 0 {
		t.Fatalf("%d lines are lost", n)
	}
	f.file = full
	for range 100 {
		if n := f.append([]byte("b\nc\n"), 0); n != 2 {
			t.Fatalf("%d of 2 lines are lost", n)
		}
	}
	f.file = disk
	if n := f.append([]byte("d\n"), 3); n != 0 { // and three had no room
		t.Errorf("%d lines are lost", n)
	}
	full.Close()
	f.close()
	want := []string{"a", "203 lines are missing here: they could not be written", "d"}
	if got := wrote(t, path); !slices.Equal(got, want) || logger.times() != 1 {
		t.Errorf("the file has %q; it was said %d times", got, logger.times())
	}
}

// short writes as many bytes of what it is given as it still may.
type short struct {
	sink
	left int
}

var errFull = errors.New("full")

func (s *short) Write(b []byte) (int, error) {
	n, err := s.sink.Write(b[:min(s.left, len(b))])
	s.left -= n
	if err == nil && n < len(b) {
		err = errFull
	}
	return n, err
}

// TestDiskFullInALine: wherever it is, the lines after it are whole.
func TestDiskFullInALine(t *testing.T) {
	for left := range 60 {
		path := filepath.Join(t.TempDir(), "log")
		f := newLogFile(&LogOptions{Path: path})
		if err := f.openFirst(); err != nil {
			t.Fatal(err)
		}
		disk := f.file
		f.file = &short{disk, left}
		lost := f.append([]byte("one\ntwo\nthree\n"), 0) + f.append([]byte("four\n"), 0)
		f.file = disk
		lost += f.append([]byte("five\n"), 0)
		f.close()
		whole := 0
		for _, line := range wrote(t, path) {
			if slices.Contains([]string{"one", "two", "three", "four", "five"}, line) {
				whole++
			}
		}
		if got := wrote(t, path); whole+lost != 5 || got[len(got)-1] != "five" || lost > 0 && !strings.Contains(strings.Join(got, "\n"), "missing") {
			t.Errorf("with room for %d bytes: %q, %d lost", left, got, lost)
		}
	}
}

// TestLogThatCannotBeRenamed: it does not grow for that.
func TestLogThatCannotBeRenamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.MkdirAll(filepath.Join(path+".1", "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	logger := &said{}
	l := openLog(t, LogOptions{Path: path, MaxBytes: 300, Files: 2, Logger: slog.New(logger)})
	for n := range 100 {
		l.Stdout(fmt.Appendf(nil, "line %d", n))
	}
	l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Size() > 300 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	if got := wrote(t, path); got[len(got)-1] != "out line 99" || logger.times() != 1 {
		t.Errorf("it has %q; it was said %d times", got, logger.times())
	}
}

// hung is a disk that does not answer until it is released.
type hung struct {
	sink
	asked   chan struct{}
	release chan struct{}
}

func (h *hung) Write(b []byte) (int, error) {
	select {
	case h.asked <- struct{}{}:
	default:
	}
	<-h.release
	return h.sink.Write(b)
}

// nowhere is a disk that keeps nothing but how many lines it was given.
type nowhere struct{ lines int }

func (n *nowhere) Write(b []byte) (int, error) {
	n.lines += bytes.Count(b, []byte{'\n'})
	return len(b), nil
}
func (n *nowhere) Truncate(int64) error { return nil }
func (n *nowhere) Close() error         { return nil }

// TestDiskThatHangs: a process waits for it once, for a moment.
func TestDiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &nowhere{}
		h := &hung{sink: disk, asked: make(chan struct{}, 1), release: make(chan struct{})}
		l := &Log{file: newLogFile(&LogOptions{Path: "hung", MaxBytes: 1 << 30}), backlog: newBacklog()}
		l.file.file = h
		go l.write()
		l.Stdout([]byte("first"))
		<-h.asked

		began := time.Now()
		line := bytes.Repeat([]byte{'x'}, 32<<10)
		const lines = 200 // six times what may wait
		for range lines {
			l.Stdout(line)
		}
		if waited := time.Since(began); waited != logWait {
			t.Errorf("the process has waited for %v", waited)
		}
		lost := l.Lost()
		if lost < 100 || lost >= lines {
			t.Errorf("%d of %d lines are lost", lost, lines)
		}
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("closed: %v", err)
		}
		if waited := time.Since(began); waited != logWait+logClose {
			t.Errorf("the end took %v", waited)
		}
		close(h.release)
		if err := l.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
		// One line says how many are missing.
		if uint64(disk.lines) != 1+lines-lost+1 {
			t.Errorf("%d lines are written, %d lost, of %d", disk.lines, lost, lines+1)
		}
	})
}

// TestDiskIsSlow: it takes a while for each piece, and no line is lost.
func TestDiskIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &nowhere{}
		h := &hung{sink: disk, asked: make(chan struct{}), release: make(chan struct{})}
		l := &Log{file: newLogFile(&LogOptions{Path: "slow", MaxBytes: 1 << 30}), backlog: newBacklog()}
		l.file.file = h
		go l.write()
		over := make(chan struct{})
		var answers sync.WaitGroup
		answers.Go(func() {
			for {
				select {
				case h.release <- struct{}{}:
					time.Sleep(logWait / 2) // in virtual time
				case <-over:
					return
				}
			}
		})
		const lines = 500
		for range lines {
			l.Stderr(bytes.Repeat([]byte{'x'}, 32<<10))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		close(over)
		answers.Wait()
		if disk.lines != lines || l.Lost() != 0 {
			t.Errorf("%d of %d lines are written, %d lost", disk.lines, lines, l.Lost())
		}
	})
}

// TestLogOfMany: many write it at once; every line is somewhere.
func TestLogOfMany(t *testing.T) {
	const writers, each = 8, 2000
	dir := t.TempDir()
	l := openLog(t, LogOptions{Path: filepath.Join(dir, "log"), MaxBytes: 64 << 10, Files: 1000})
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				l.add([...]string{"out", "err"}[n%2], fmt.Appendf(nil, "writer %d line %d", w, n))
			}
		})
	}
	writing.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	written, next := 0, make(map[string]int)
	for i := len(names) - 1; i >= 0; i-- {
		for _, line := range wrote(t, filepath.Join(dir, (&logFile{path: "log"}).name(i))) {
			var w, n int
			if _, err := fmt.Sscanf(line[len("out "):], "writer %d line %d", &w, &n); err != nil {
				continue // it says how many are missing
			}
			written++
			if key := fmt.Sprint(w); n < next[key] {
				t.Fatalf("writer %d: line %d comes after %d", w, n, next[key]-1)
			} else {
				next[key] = n + 1
			}
		}
	}
	if len(names) < 5 || written+int(l.Lost()) != writers*each {
		t.Errorf("%d files; %d lines written, %d lost, of %d", len(names), written, l.Lost(), writers*each)
	}
}

// TestLogOfAProcess: whatever it says, it comes to its end.
func TestLogOfAProcess(t *testing.T) {
	const size = 4 << 20
	path := filepath.Join(t.TempDir(), "log")
	l := openLog(t, LogOptions{Path: path, MaxBytes: 1 << 20, Files: 2})
	for _, s := range []Spec{program("line", fmt.Sprint(size)), program("noise", "100000"), shell("echo done >&2")} {
		s.Stdout, s.Stderr = l.Stdout, l.Stderr
		if e := run(t, s); e.Code != 0 {
			t.Errorf("exit %+v", e)
		}
	}
	l.Close()
	if l.Lost() > 0 {
		t.Logf("%d lines are lost: the disk is slow", l.Lost())
	} else if got := wrote(t, path); got[len(got)-1] != "err done" {
		t.Errorf("the last line is %q", got[len(got)-1])
	}
	for _, name := range []string{path, path + ".1"} {
		if info, err := os.Stat(name); err != nil || info.Size() > 1<<20 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

func BenchmarkLog(b *testing.B) {
	l, err := OpenLog(LogOptions{Path: filepath.Join(b.TempDir(), "log")})
	if err != nil {
		b.Fatal(err)
	}
	line := bytes.Repeat([]byte{'x'}, 100)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		l.Stdout(line)
	}
	_ = l.Close()
	b.ReportMetric(float64(l.Lost()), "lost")
}

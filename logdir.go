package arbiter

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/arbiter-go/arbiter/internal/proc"
)

// logDir is the files in which what process actors print is kept, one for each name.
// A file is open while a process lives that prints to it: two at a time where one
// replaces the other.
type logDir struct {
	path   string // "": there is none
	logger *slog.Logger

	mu sync.Mutex // guards what follows
	of map[string]*actorLog
}

// actorLog is the file of one name.
type actorLog struct {
	users int // guarded by logDir.mu

	// Held while the file is opened and closed, which may take as long as a disk likes:
	// nobody else waits for that.
	mu  sync.Mutex
	log *proc.Log // nil: it is not open, or could not be opened
}

// logFile is the name of a name's file. No name has a plus, so no two share one.
func logFile(label string) string { return strings.ReplaceAll(label, "/", "+") + ".log" }

// check makes the directory, and returns why no file can be made in it.
func (d *logDir) check() error {
	if d.path == "" {
		return nil
	}
	err := os.MkdirAll(d.path, 0o700) // what programs say is for nobody else to read
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(d.path, ".arbiter-")
	}
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		return fmt.Errorf("no logs can be written to %q, which is Options.LogDir: %w", d.path, err)
	}
	return nil
}

// open returns the log of label, nil if there is none, and what lets go of it.
func (d *logDir) open(label string) (l *proc.Log, release func()) {
	if d.path == "" {
		return nil, func() {}
	}
	d.mu.Lock()
	if d.of == nil {
		d.of = make(map[string]*actorLog)
	}
	a := d.of[label]
	if a == nil {
		a = &actorLog{}
		d.of[label] = a
	}
	a.users++
	d.mu.Unlock()

	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log == nil {
		log, err := proc.OpenLog(proc.LogOptions{Path: filepath.Join(d.path, logFile(label)), Logger: d.logger})
		if err != nil {
			d.logger.Error("what an actor prints is not logged", "actor", label, "error", err)
		} else {
			a.log = log
		}
	}
	return a.log, func() { d.release(label, a) }
}

// release closes the file of label when nobody uses it any more.
func (d *logDir) release(label string, a *actorLog) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d.mu.Lock()
	a.users--
	last := a.users == 0
	d.mu.Unlock()
	if last && a.log != nil {
		if err := a.log.Close(); err != nil {
			d.logger.Error("a log was not written to its end", "actor", label, "error", err)
		}
		a.log = nil
	}
	d.mu.Lock()
	if a.users == 0 && d.of[label] == a { // or somebody waits to open it again
		delete(d.of, label)
	}
	d.mu.Unlock()
}

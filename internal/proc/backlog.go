package proc

import (
	"sync"
	"time"
)

const (
	maxPending = 1 << 20                // bytes that wait to be written
	idleBuffer = 64 << 10               // how large a buffer may be to be kept for little
	logWait    = 100 * time.Millisecond // how long a process waits for whoever takes its lines
	logClose   = 2 * time.Second        // how long Close does
)

// backlog is lines on their way to something that may take them slowly, or not at
// all: a disk, a terminal. One goroutine writes them. Whoever has a line waits for it
// when there is 1 MiB to be written, for a tenth of a second, and when it has taken
// nothing meanwhile for nothing more: then lines are lost, and counted.
type backlog struct {
	wake chan struct{} // there is something to write
	stop chan struct{} // closed by Close
	done chan struct{} // closed when what drains it has ended

	mu      sync.Mutex // guards what follows
	closed  bool
	pending []byte        // what drain has not taken
	spare   []byte        // the buffer it has written
	dropped int           // lines for which there was no room in pending since drain looked last
	stuck   bool          // nothing was taken for as long as a process waits
	room    chan struct{} // closed when drain has taken something, if somebody waits for it; or nil
	lost    uint64        // lines in all
}

func newBacklog() backlog {
	return backlog{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
}

// reserve reports whether a line of size bytes may be added to pending, and counts it
// if not. It takes the lock to be held, and may let it go in between.
func (b *backlog) reserve(size int) bool {
	if len(b.pending)+size > maxPending && !b.waitForRoom(size) {
		b.dropped++
		b.lost++
		return false
	}
	return true
}

// nudge has pending written.
func (b *backlog) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// waitForRoom waits until size bytes can be added to those that wait to be written,
// for as long as logWait, and reports whether they can. It takes the lock to be held,
// and lets it go in between.
func (b *backlog) waitForRoom(size int) bool {
	timer := time.NewTimer(logWait)
	defer timer.Stop()
	for len(b.pending)+size > maxPending {
		if b.stuck || b.closed {
			return false
		}
		if b.room == nil {
			b.room = make(chan struct{})
		}
		room := b.room
		b.mu.Unlock()
		select {
		case <-room:
			b.mu.Lock()
		case <-b.stop:
			b.mu.Lock()
		case <-timer.C:
			b.mu.Lock()
			b.stuck = room == b.room // nothing was taken meanwhile
			return !b.closed && len(b.pending)+size <= maxPending
		}
	}
	return !b.closed
}

// drain hands what waits to write, which is told how many lines were lost before it
// and returns how many it has lost itself, until Close.
func (b *backlog) drain(write func(text []byte, dropped int) (lost int)) {
	for last := false; !last; {
		select {
		case <-b.wake:
		case <-b.stop:
			last = true
		}
		text, dropped := b.take()
		lost := write(text, dropped)
		b.mu.Lock()
		b.lost += uint64(lost)
		if cap(text) <= max(idleBuffer, 4*len(text)) { // what one burst took is let go
			b.spare = text[:0]
		}
		b.mu.Unlock()
	}
}

// take returns what is to be written next, and how many lines were lost before it.
func (b *backlog) take() (text []byte, dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text, dropped = b.pending, b.dropped
	b.pending, b.spare, b.dropped, b.stuck = b.spare, nil, 0, false
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	return text, dropped
}

// drained waits for logClose until all is written, and reports whether it was.
func (b *backlog) drained() bool {
	timer := time.NewTimer(logClose)
	defer timer.Stop()
	select {
	case <-b.done:
		return true
	case <-timer.C:
		return false
	}
}

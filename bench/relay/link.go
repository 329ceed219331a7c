package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

const (
	readSize  = 256 << 10 // the reader's buffer: a larger frame gets one of its own
	maxQueued = 64 << 20  // bytes a link holds for a peer that does not read; more ends it
	flushes   = 4         // batches one goroutine writes before it hands over
)

var errQueueFull = errors.New("relay: the other end does not read")

// link is one end of one connection. One goroutine calls read; add, own and flush
// may be called from many.
type link struct {
	conn  net.Conn
	raw   syscall.RawConn // nil: the system has no write that does not wait
	depot *depot
	try   attempt // owned by whoever is flushing

	flusher sync.WaitGroup // the goroutine that goes on where a write would wait

	mu       sync.Mutex
	queue    [][]byte // chunks of whole frames, oldest first
	spare    [][]byte // the queue's other half, empty
	queued   int      // bytes in queue
	flushing bool     // somebody writes
	err      error    // why nothing more can be written
}

func newLink(conn net.Conn, d *depot) *link {
	l := &link{conn: conn, depot: d}
	if c, ok := conn.(syscall.Conn); ok && canTry {
		if raw, err := c.SyscallConn(); err == nil {
			l.raw = raw
			l.try.bind()
		}
	}
	return l
}

// close ends the connection, which ends read, and waits for the flusher.
func (l *link) close() {
	l.conn.Close()
	l.flusher.Wait()
}

// add queues a copy of a whole frame.
func (l *link) add(frame []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.roomLocked(len(frame)); err != nil {
		return err
	}
	tail := &l.queue[len(l.queue)-1]
	*tail = append(*tail, frame...)
	return nil
}

// addFrame queues a frame made of its parts, and says how much is queued now.
func (l *link) addFrame(at id, body []byte) (queued int, err error) {
	n := idSize + len(body)
	n += headSize(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.roomLocked(n); err != nil {
		return 0, err
	}
	tail := &l.queue[len(l.queue)-1]
	*tail = appendFrame(*tail, at, body)
	return l.queued, nil
}

// own queues a whole frame in a buffer of the depot, which is the link's from now on.
func (l *link) own(frame []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if l.queued += len(frame); l.queued > maxQueued {
		return errQueueFull
	}
	l.queue = append(l.queue, frame)
	return nil
}

// roomLocked makes sure that the last chunk of the queue has room for n bytes.
func (l *link) roomLocked(n int) error {
	if l.err != nil {
		return l.err
	}
	if l.queued += n; l.queued > maxQueued {
		return errQueueFull
	}
	if len(l.queue) > 0 {
		if tail := l.queue[len(l.queue)-1]; cap(tail)-len(tail) >= n {
			return nil
		}
	}
	l.queue = append(l.queue, l.depot.get(n))
	return nil
}

// takeLocked hands over all that is queued.
func (l *link) takeLocked() [][]byte {
	batch := l.queue
	l.queue, l.spare = l.spare[:0], nil
	l.queued = 0
	return batch
}

// giveLocked takes an emptied batch back.
func (l *link) giveLocked(batch [][]byte) {
	clear(batch)
	l.spare = batch[:0]
}

// flush writes what is queued as far as the kernel takes it without waiting. If
// another goroutine is at it, that one takes what was queued. It never waits.
func (l *link) flush() {
	l.mu.Lock()
	if l.flushing {
		l.mu.Unlock()
		return
	}
	for turn := 0; len(l.queue) > 0 && l.err == nil; turn++ {
		l.flushing = true
		batch := l.takeLocked()
		l.mu.Unlock()
		done, off, err := 0, 0, error(nil)
		if l.raw != nil && turn < flushes {
			done, off, err = l.tryBatch(batch)
		}
		if err == nil && done < len(batch) {
			l.flusher.Go(func() { l.writeOn(batch, done, off) })
			return
		}
		l.mu.Lock()
		l.giveLocked(batch)
		l.err = errors.Join(l.err, err)
	}
	l.flushing = false
	l.mu.Unlock()
}

// tryBatch writes chunks until the kernel takes no more: done of them whole, and
// off bytes of the next.
func (l *link) tryBatch(batch [][]byte) (done, off int, err error) {
	for i, chunk := range batch {
		n, err := l.try.write(l.raw, chunk)
		if err != nil || n < len(chunk) {
			return i, n, err
		}
		l.depot.put(chunk)
	}
	return len(batch), 0, nil
}

// writeOn writes what tryBatch left of batch, and all that is queued meanwhile,
// waiting for the kernel. It runs on a goroutine of its own.
func (l *link) writeOn(batch [][]byte, done, off int) {
	for {
		var err error
		for _, chunk := range batch[done:] {
			if err == nil {
				_, err = l.conn.Write(chunk[off:])
			}
			off = 0
			l.depot.put(chunk)
		}
		l.mu.Lock()
		l.giveLocked(batch)
		l.err = errors.Join(l.err, err)
		if len(l.queue) == 0 || l.err != nil {
			l.flushing = false
			l.mu.Unlock()
			return
		}
		batch, done = l.takeLocked(), 0
		l.mu.Unlock()
	}
}

// receiver is told what a link reads, on the reader's goroutine.
type receiver interface {
	// frame is one whole frame, whose header is head bytes long. It may change it.
	// It is valid during the call only, but if owned: then the receiver has to
	// hand it on or give it back to the depot.
	frame(l *link, frame []byte, head int, owned bool) error
	// dry is called when there is no further whole frame, before the reader waits.
	dry(l *link)
}

// read reads until the connection ends or the receiver returns an error.
func (l *link) read(to receiver) error {
	buf := make([]byte, readSize)
	start, end := 0, 0
	limit := len(buf) // of the next read
	for {
		var head, total int
		for {
			var err error
			if head, total, err = frameSize(buf[start:end]); err != nil {
				return err
			}
			if total == 0 || total > end-start {
				break
			}
			if err = to.frame(l, buf[start:start+total], head, false); err != nil {
				return err
			}
			start += total
		}
		to.dry(l)
		if total > len(buf) {
			large := l.depot.get(total)[:total]
			n := copy(large, buf[start:end])
			if _, err := io.ReadFull(l.conn, large[n:]); err != nil {
				return err
			}
			if err := to.frame(l, large, head, true); err != nil {
				return err
			}
			// Large frames come in rows. To read little of the next one now is to
			// have little of it to move to its own buffer.
			start, end, limit = 0, 0, 512
			continue
		}
		if start > 0 {
			end = copy(buf, buf[start:end])
			start = 0
		}
		n, err := l.conn.Read(buf[end:limit])
		if n == 0 && err != nil {
			return err
		}
		end += n
		limit = len(buf)
	}
}

package arbiter

import (
	"sync"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// door is the transport of a program that may come in two ways: by the socket it
// inherits, or, where something on the way to it closes that, by connecting and
// saying the token it was given. The first to say hello is it.
type door struct {
	at    atomic.Pointer[doorway]
	used  bool          // owned by the reader: something came by the first way
	left  atomic.Bool   // the first way has ended, unused
	moved chan struct{} // closed when somebody has entered, or it is shut; mu is held

	mu   sync.Mutex // guards what follows
	conn *peer.Conn
}

// doorway is where the door is, and what was read there already.
type doorway struct {
	peer.Transport
	read []byte // owned by the reader
}

func newDoor(t peer.Transport) *door {
	d := &door{moved: make(chan struct{})}
	d.at.Store(&doorway{Transport: t})
	return d
}

// enter makes t, over which hello came, the transport. It reports false if it is
// too late for that.
func (d *door) enter(t peer.Transport, hello []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.moved:
		return false
	default:
	}
	bind(t, d.conn)
	before := d.at.Swap(&doorway{Transport: t, read: hello})
	close(d.moved)
	_ = before.Close()
	return true
}

// Bind makes c the connection that goes through the door.
func (d *door) Bind(c *peer.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = c
	bind(d.at.Load().Transport, c)
}

func bind(t peer.Transport, c *peer.Conn) {
	if b, ok := t.(peer.Binder); ok {
		b.Bind(c)
	}
}

// Read reads where the door is. When it is moved while a Read waits, the Read goes
// on there.
func (d *door) Read(b []byte) (int, error) {
	for {
		at := d.at.Load()
		if len(at.read) > 0 {
			n := copy(b, at.read)
			at.read = at.read[n:]
			return n, nil
		}
		n, err := at.Transport.Read(b)
		if err == nil || n > 0 {
			d.used = true
			return n, err
		}
		if d.at.Load() != at {
			continue
		}
		if d.used {
			return n, err
		}
		// Closed on the way: it may still come by the other.
		d.left.Store(true)
		<-d.moved
		if d.used = true; d.at.Load() == at {
			return n, err // it was shut
		}
	}
}

// Meter has what is read counted. Who reads has said hello, so that the way is chosen.
func (d *door) Meter(m frame.Memory) {
	if t, ok := d.at.Load().Transport.(peer.Metered); ok {
		t.Meter(m)
	}
}

// deserted reports whether nobody can come by the first way any more.
func (d *door) deserted() bool { return d != nil && d.left.Load() }

func (d *door) Write(b []byte) (int, error)    { return d.at.Load().Write(b) }
func (d *door) TryWrite(b []byte) (int, error) { return d.at.Load().TryWrite(b) }
func (d *door) Info() peer.Info                { return d.at.Load().Info() }

// WriteSome waits until the way that is open takes something.
func (d *door) WriteSome(b []byte) (int, error) { return peer.WriteSome(d.at.Load().Transport, b) }

func (d *door) Close() error {
	d.mu.Lock()
	select {
	case <-d.moved:
	default:
		close(d.moved)
	}
	d.mu.Unlock()
	return d.at.Load().Close()
}

// CloseWrite ends the sending direction, where there are two.
func (d *door) CloseWrite() error {
	if w, ok := d.at.Load().Transport.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// tokens are those that programs were given, each good for one connection, until
// their program has said hello or has ended.
type tokens struct {
	mu sync.Mutex
	of map[string]ticket
	by map[*incarnation]string
}

type ticket struct {
	inc  *incarnation
	door *door
}

func (t *tokens) issue(i *incarnation, d *door) string {
	token := randomToken()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of, t.by = make(map[string]ticket), make(map[*incarnation]string)
	}
	t.of[token], t.by[i] = ticket{i, d}, token
	return token
}

func (t *tokens) revoke(i *incarnation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of, t.by[i])
	delete(t.by, i)
}

// redeem returns whose token it is, once.
func (t *tokens) redeem(token string) (*incarnation, *door) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.of[token]
	if !ok {
		return nil, nil
	}
	delete(t.of, token)
	delete(t.by, w.inc)
	return w.inc, w.door
}

// usher leads who said hello h over t, of which c has read that, to the door of the program it
// is. It reports false if h has no token of a program.
func (a *Arbiter) usher(c *peer.Conn, t peer.Transport, h *wire.Hello) (bool, error) {
	if h.Token == "" || h.Client { // who only calls has the token of the program it was started by
		return false, nil
	}
	i, door := a.tokens.redeem(h.Token)
	if i == nil {
		return false, nil
	}
	m, err := h.Message()
	if err != nil {
		return true, err
	}
	// What came with the hello was read by c, which reads no more.
	if !door.enter(t, append(frame.AppendFrame(nil, frame.Binary, m.Append(nil)), c.Rest()...)) {
		return true, wire.Errorf(wire.CodeClosed, "the program %q has ended", i.label())
	}
	return true, nil
}

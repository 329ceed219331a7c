package peer

import (
	"sync"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// A Profile says how messages are written as bytes.
type Profile string

// The profiles.
const (
	Native        Profile = "native"
	JSON          Profile = "json"
	PulsarProfile Profile = "pulsar"
)

// jsonTransport lets a Conn, which speaks native messages, talk to a peer of the
// json profile: towards the Conn it is a stream of native frames, towards the socket
// one of RFC 6455 text frames, each of which is a message that docs/json.md
// describes. So the rules of the contract stay in one place, and this is nothing but
// a translation.
//
// It never writes by itself: what it has to answer, a refusal or a pong, it posts to
// its Conn, and translates when that writes it. Read is for the reader, Write and
// TryWrite for the flusher of the Conn, which it is bound to before the first of
// them.
//
// The peer has no windows. Its hello is translated into one that grants room without
// end, so that only the Conn's Limits bound what waits for it; and what it sends
// beyond the room it has here is refused at once instead of left unread.
type jsonTransport struct {
	socket Transport
	conn   *Conn // static once the handshake has begun

	acks acks
	gone chan struct{} // closed by Close
	once sync.Once     // of that

	jsonIn
	jsonOut
}

// endless is the room for data of a peer that knows no windows.
var endless = wire.Window{Messages: 1 << 60, Bytes: 1 << 60}

// NewJSON returns t as the Transport of a Conn whose other end speaks the json
// profile over it. read is what was read from t already. A websocket's client masks
// what it sends; over any other socket nobody does.
func NewJSON(t Transport, read []byte, masking frame.Masking) Transport {
	j := &jsonTransport{socket: t, gone: make(chan struct{})}
	j.left = make(chan struct{})
	j.source = jsonSource{j, read}
	j.masking = masking
	return j
}

// Binder is a Transport that needs to know which Conn it is of. New binds it; a
// Transport that wraps another passes that on, also when it wraps another one later.
type Binder interface{ Bind(c *Conn) }

// Bind makes c the Conn that is spoken to.
func (j *jsonTransport) Bind(c *Conn) {
	j.conn = c
	if j.frames != nil {
		return
	}
	o := frame.Options{Masking: j.masking, Limit: wire.MaxHello, Fragments: true, TextUTF8: true, Buffers: &c.purse.pool.frames}
	if p, ok := j.socket.(frame.Patient); ok {
		j.frames = frame.NewReader(&patientJSON{&j.source, p}, o)
	} else {
		j.frames = frame.NewReader(&j.source, o)
	}
}

// Meter has what is read counted.
func (j *jsonTransport) Meter(m frame.Memory) { j.frames.SetMemory(m) }

func (j *jsonTransport) Close() error {
	j.once.Do(func() { close(j.gone) })
	return j.socket.Close()
}

func (j *jsonTransport) CloseWrite() error {
	if w, ok := j.socket.(writeCloser); ok {
		return w.CloseWrite()
	}
	return nil
}

// Info says what the socket is.
func (j *jsonTransport) Info() Info {
	info := j.socket.Info()
	info.Profile = JSON
	return info
}

// violates makes a violation.
func violates(code frame.CloseCode, format string, args ...any) *violation {
	return &violation{wire.Errorf(wire.CodeProtocol, format, args...), code}
}

// violation is what the peer did that cannot be answered, and the code of the close
// frame it is told with.
type violation struct {
	*wire.Error
	code frame.CloseCode
}

func (v *violation) Unwrap() error { return v.Error }

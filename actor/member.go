package actor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// JoinOptions say how a program joins an arbiter. The zero value is ready.
type JoinOptions struct {
	// Token is what the listener asks for. Default: the environment's
	// ARBITER_TOKEN; an inherited socket and the control socket need none.
	Token string
	// Name the actor would like to have. Default: none.
	Name string
	// AID the actor would like to have. Default: the arbiter makes one. One that could be of
	// the arbiter's making is refused.
	AID string
	// Client says that the program only calls: lists of actors leave it out. Its kind then
	// needs no more than a name: &actor.Kind[actor.None]{Name: "client"}.
	Client bool
	// Timeout bounds dialing and the handshake. Default: 10 s.
	Timeout time.Duration
	// Logger is where the actor's logger writes. Default: slog.Default.
	Logger *slog.Logger

	dialed peer.Transport // instead of dialing
}

// Member is a program that joins an arbiter as one actor. Its first call, or
// Serve, connects: once, however many first calls race. When the connection is
// lost the actor's life is over, and so is the Member's: nothing reconnects.
//
// All methods may be called from any goroutine.
type Member struct {
	address string
	kind    Behaviour
	options JoinOptions
	log     *slog.Logger
	buffers sync.Pool // of *[]byte, for encoding
	commons cell.Commons

	connected atomic.Pointer[joined] // set once
	quit      context.Context        // ends when it is closed: connecting heeds it
	hangUp    context.CancelFunc

	mu         sync.Mutex // guards what follows
	connecting chan struct{}
	closed     bool
	err        error // why connecting failed, or what ended the life
	done       chan struct{}
	lost       chan struct{} // closed when the connection has ended
}

// joined is a member's one connection and one life. Immutable once made, but for
// what mu guards.
type joined struct {
	member  *Member
	conn    *peer.Conn
	cell    *cell.Cell
	hello   *wire.Welcome
	ran     chan struct{} // closed when the reader has ended
	self    peer.Calls    // calls to itself that are not part of a turn
	stopped stopped
	came    int // requests since Dry; the reader's

	mu      sync.Mutex
	watches map[uint64]*cell.Watch
	lost    error // why the connection ended first
}

// NewMember makes a Member that will join the arbiter at address as an actor of
// kind. It does not connect yet, and what is wrong with the kind or the address is the error
// of the first call. The address is "unix:/path", "tcp:host:port",
// "host:port", "fd:3", or "" for what the environment says (ARBITER_FD, else
// ARBITER_ADDR and ARBITER_TOKEN). "pulsar:host:port" is a real arbiter of Python's
// pulsar, which must expect the AID; see docs/pulsar.md for what that cannot do.
func NewMember(address string, kind Behaviour, options JoinOptions) *Member {
	if kind == nil {
		kind = (*Kind[None])(nil) // of which the first call is told
	}
	if options.Timeout <= 0 {
		options.Timeout = 10 * time.Second
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Token == "" {
		options.Token = os.Getenv(EnvToken)
	}
	m := &Member{address: address, kind: kind, options: options, log: options.Logger, done: make(chan struct{}), lost: make(chan struct{})}
	m.buffers.New = func() any { return new([]byte) }
	m.quit, m.hangUp = context.WithCancel(context.Background())
	return m
}

// Serve joins the arbiter at address as an actor of kind and serves until the
// actor has ended: nil if it was asked to stop or ctx ended, else why.
func Serve(ctx context.Context, address string, kind Behaviour, options JoinOptions) error {
	m := NewMember(address, kind, options)
	defer m.Close()
	return m.Serve(ctx)
}

// Serve connects, if no call has, and waits until the actor has ended: nil if it
// was asked to stop or ctx ended, else why. When ctx ends the actor stops as if it
// had been asked to; a member that has not joined by then never does.
func (m *Member) Serve(ctx context.Context) error {
	j, err := m.join(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return m.Close()
		}
		return err
	}
	stop := context.AfterFunc(ctx, func() { j.cell.Stop("its program is ending", 0) })
	defer stop()
	<-m.done
	return m.Err()
}

// Context returns a context in which the member is the sender. The first call made
// in it connects.
func (m *Member) Context(ctx context.Context) context.Context {
	return cell.WithScope(ctx, cell.Scope{Host: hosting{m}})
}

// Ref returns the member's own Ref, connecting first if need be.
func (m *Member) Ref(ctx context.Context) (Ref, error) {
	j, err := m.join(ctx)
	if err != nil {
		return Ref{}, err
	}
	return Ref{AID: j.cell.AID(), Name: j.cell.Name()}, nil
}

// Done is closed when the member's life is over.
func (m *Member) Done() <-chan struct{} { return m.done }

// Lost is closed when the connection has ended; the actor is then given half a
// second to stop.
func (m *Member) Lost() <-chan struct{} { return m.lost }

// Err says why the member's life is over: nil if it was asked to stop, or goes on.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Close ends the member: an actor that runs is stopped, within its grace; connecting is
// given up. It returns when all its goroutines have ended. It may be called at any time,
// also before the first call and more than once.
func (m *Member) Close() error {
	m.mu.Lock()
	if !m.closed {
		m.closed = true
		if m.connecting == nil {
			close(m.done) // nobody will ever connect
			m.connecting = closedChannel()
		}
	}
	connecting := m.connecting
	m.mu.Unlock()
	m.hangUp()
	<-connecting
	if j := m.connected.Load(); j != nil {
		j.cell.Stop("its program closed it", 0)
	}
	<-m.done
	return nil
}

func closedChannel() chan struct{} { c := make(chan struct{}); close(c); return c }

// join returns the one connection, made by whoever comes first.
func (m *Member) join(ctx context.Context) (*joined, error) {
	if j := m.connected.Load(); j != nil {
		return j, nil
	}
	m.mu.Lock()
	if m.connecting == nil && !m.closed {
		m.connecting = make(chan struct{})
		go m.connect(context.WithoutCancel(ctx))
	}
	connecting := m.connecting
	m.mu.Unlock()
	select {
	case <-connecting:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if j := m.connected.Load(); j != nil {
		return j, nil
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	return nil, &Error{Code: Closed, Message: "this member is closed", Started: StartedNo}
}

// connect makes the connection, says hello and starts the actor.
func (m *Member) connect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.options.Timeout)
	defer cancel()
	hungUp := context.AfterFunc(m.quit, cancel)
	j, err := m.handshake(ctx)
	if !hungUp() { // it has failed by that, or is cut off: nobody has joined
		if err == nil {
			j.conn.Close(peer.ErrClosed)
		}
		j, err = nil, nil
	}
	m.mu.Lock()
	if j != nil {
		m.connected.Store(j)
	}
	m.err = err
	closed := m.closed
	m.mu.Unlock()
	close(m.connecting)
	if j == nil {
		close(m.done)
		return
	}
	go j.run()
	j.cell.Start()
	if closed {
		j.cell.Stop("its program closed it", 0)
	}
}

func (m *Member) handshake(ctx context.Context) (*joined, error) {
	spec, err := m.kind.Spec()
	if err != nil {
		return nil, err
	}
	transport := m.options.dialed
	if transport == nil {
		c, err := dial(ctx, m.address)
		if err != nil {
			return nil, fmt.Errorf("cannot join the arbiter at %q: %w", m.address, err)
		}
		transport = peer.NewTransport(c)
		if speaksPulsar(m.address) {
			transport = m.pulsar(transport)
		}
	}
	window := wire.Window{Messages: uint64(spec.Inbox.Messages), Bytes: uint64(spec.Inbox.Bytes)}
	if speaksPulsar(m.address) && window == (wire.Window{}) {
		window = peer.PulsarWindow // it does not know of any: what has no room would be refused
	}
	if window.Messages == 0 {
		window.Messages = defaultInboxMessages
	}
	if window.Bytes == 0 {
		window.Bytes = defaultInboxBytes
	}
	// An arbiter on the same machine may be stopped for as long as it likes: its end is
	// the end of the connection at once.
	network := transport.Info().Network
	local := network == "unix" || network == "socketpair"
	if local || network == "tcp" {
		m.commons.Parks()
	}
	conn := peer.New(transport, peer.Options{Window: window, Trusting: local})
	window = conn.Window()
	welcome, err := conn.Hello(ctx, &wire.Hello{
		Newest: wire.Version, Oldest: wire.MinVersion,
		Token: m.options.Token, Kind: spec.Kind, Name: m.options.Name, AID: m.options.AID,
		Mode: spec.Mode.String(), Commands: spec.CommandInfos(), Inbox: window,
		PID: os.Getpid(), Language: "go " + runtime.Version(), Client: m.options.Client,
		Codecs: []wire.Codec{wire.CodecCBOR, wire.CodecJSON, wire.CodecRaw},
	})
	if err != nil {
		conn.Close(err)
		var e *wire.Error
		if errors.As(err, &e) {
			return nil, errorOf(e, "arbiter", "arbiter", "hello")
		}
		return nil, fmt.Errorf("cannot join the arbiter at %q: %w", m.address, err)
	}
	j := &joined{member: m, conn: conn, hello: welcome, ran: make(chan struct{})}
	conn.Held = j.stopped.has
	conn.Unsent = func(_ string, e *wire.Error) { j.undelivered(e) }
	j.cell = cell.New(spec, hosting{m}, context.WithoutCancel(ctx), welcome.AID, welcome.Name, m.log)
	birth := cell.Birth{
		Budget: time.Duration(welcome.Budget) * time.Millisecond,
		Grace:  time.Duration(welcome.Grace) * time.Millisecond,
	}
	if len(welcome.Settings) > 0 {
		if err := wire.Decode(wire.CodecCBOR, welcome.Settings, &birth.Config); err != nil {
			conn.Close(err)
			return nil, fmt.Errorf("the arbiter sent settings that cannot be read: %w", err)
		}
	}
	j.cell.Prepare(birth)
	return j, nil
}

// The room a member offers where its kind says nothing. What has no room waits in
// the arbiter, as bytes in a row, and not here, as objects of which the garbage
// collector looks at each one.
const (
	defaultInboxMessages = 2048
	defaultInboxBytes    = 1 << 20
)

const (
	// lostGrace is how long an actor whose connection is lost has for its stop hook.
	lostGrace = 500 * time.Millisecond
	// leaveGrace is how long one that has ended waits while nothing is written of its last
	// answers. What a slow line takes at once may keep it busy for a second.
	leaveGrace = 2 * time.Second
)

// run reads until the connection ends, which ends the actor.
func (j *joined) run() {
	err := j.conn.Run(j)
	close(j.ran)
	close(j.member.lost)
	j.mu.Lock()
	j.lost = err
	j.mu.Unlock()
	j.cell.Abandon("the connection to the arbiter is gone", lostGrace)
	j.failWatches()
}

// failWatches tells whoever watches that nothing will be heard any more.
func (j *joined) failWatches() {
	j.mu.Lock()
	watches := j.watches
	j.watches = nil
	j.mu.Unlock()
	for _, w := range watches {
		w.Down(&cell.Down{Death: wire.Death{Cause: wire.CauseConnection, Reason: "the connection to the arbiter is gone"}})
	}
}

// Connection returns what carries the member's messages.
func (m *Member) Connection() Connection {
	j := m.connected.Load()
	if j == nil {
		return Connection{}
	}
	info := j.conn.Info()
	c := Connection{Profile: string(cmp.Or(info.Profile, peer.Native)), Transport: info.Network, Peer: info.Remote}
	if c.Peer == "" && info.PID != 0 {
		c.Peer = fmt.Sprintf("pid %d", info.PID)
	}
	return c
}

var _ cell.Host = hosting{}

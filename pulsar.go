package arbiter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// PulsarOptions have an arbiter take real actors of Python's pulsar (1.6 and 2.0): see
// docs/pulsar.md. The zero value takes none.
//
// There is no token: pulsar has no place for one. Whoever reaches the port and knows
// an aid that is expected and not alive is that actor.
type PulsarOptions struct {
	// Bind is the address to take them at, such as "127.0.0.1:7979". It must be of this
	// machine's own loopback.
	Bind string
	// AIDs are those that are let in. One that was spawned here is let in once without
	// being listed.
	AIDs []string
	// Spawn is the program that is started where an actor of pulsar asks for another
	// one, or SpawnArgs.In is "pulsar", and its arguments, in which {host}, {port},
	// {aid} and {name} are replaced. It is to join as that aid. Default: such a spawn is
	// refused.
	Spawn []string
	// Timeout is how long one may be silent. It notifies every 0.3 timeouts of its own
	// (cfg.timeout), within 3 and 30 s. Default: 30 s, as pulsar's own.
	Timeout time.Duration
	// CallTimeout is how long one waits for what it asks, since pulsar's messages have no
	// deadline. Default: 10 min.
	CallTimeout time.Duration
	// NoRun refuses the command run from and to actors of pulsar. It lets any of them
	// have any other call any function of Python.
	NoRun bool
}

// pulsarGate is where real actors of pulsar come in.
type pulsarGate struct {
	arb     *Arbiter
	options PulsarOptions
	host    string
	port    string

	mu       sync.Mutex // guards what follows
	guests   map[*peer.Pulsar]struct{}
	expected map[string]*incarnation // spawned here, and not come yet
	shut     bool
}

// Validate returns what is wrong with o, or nil. Start does the same.
func (o PulsarOptions) Validate() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults checks o.
func (o PulsarOptions) withDefaults() (PulsarOptions, error) {
	if o.Bind == "" {
		if len(o.AIDs) > 0 || len(o.Spawn) > 0 {
			return o, errors.New("pulsar: Options.Pulsar.Bind is missing: the address to take actors of pulsar at, such as 127.0.0.1:7979")
		}
		return o, nil
	}
	host, _, err := net.SplitHostPort(o.Bind)
	if err != nil {
		return o, fmt.Errorf("pulsar: %q is no address: host:port, such as 127.0.0.1:7979", o.Bind)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return o, fmt.Errorf("pulsar: %q is not on the loopback: its messages can carry no token, so whoever reaches the port could be any actor; take 127.0.0.1, and a tunnel to others", o.Bind)
	}
	for _, aid := range o.AIDs {
		if err := actor.ValidName(aid); err != nil {
			return o, fmt.Errorf("pulsar: an aid: %w", err)
		}
	}
	if len(o.Spawn) > 0 && o.Spawn[0] == "" {
		return o, errors.New("pulsar: the command to spawn with begins with nothing")
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.CallTimeout <= 0 {
		o.CallTimeout = 10 * time.Minute
	}
	return o, nil
}

// openPulsar opens the gate, if there is to be one.
func (a *Arbiter) openPulsar(ctx context.Context) error {
	o := a.options.Pulsar
	if o.Bind == "" {
		return nil
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", o.Bind)
	if err != nil {
		return fmt.Errorf("cannot listen at %s: %w", o.Bind, err)
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		_ = l.Close() // localhost is what somebody says it is
		return fmt.Errorf("pulsar: %s is %v, which is not on the loopback", o.Bind, l.Addr())
	}
	g := &pulsarGate{arb: a, options: o, guests: make(map[*peer.Pulsar]struct{}), expected: make(map[string]*incarnation)}
	g.host, g.port, _ = net.SplitHostPort(l.Addr().String())
	a.mu.Lock()
	a.pulsar = g
	a.closers = append(a.closers, g.close)
	a.mu.Unlock()
	a.acceptAt(l, "pulsar:"+l.Addr().String(), g.greet)
	return nil
}

// close sends home who is not known yet.
func (g *pulsarGate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for p := range g.guests {
		_ = p.Close()
	}
}

// greet serves one connection, from its first byte to its end.
func (g *pulsarGate) greet(v *guest) {
	a := g.arb
	t := &unheard{Transport: peer.NewTransport(v.conn), limit: g.options.Timeout}
	p := peer.NewPulsar(t, peer.PulsarOptions{
		MaxMessage: a.options.MaxMessage, Timeout: g.options.CallTimeout, NoRun: g.options.NoRun, Logger: a.log,
	})
	if !g.enter(p) {
		v.greeted()
		_ = p.Close()
		return
	}
	t.arm()
	var spawned *incarnation
	err := p.Await(func(aid string) (err error) {
		spawned, err = g.admit(aid)
		return err
	})
	t.disarm()
	g.leave(p)
	v.greeted()
	if err != nil {
		err = v.why(err)
		a.log.Debug("a connection of pulsar that was nobody's has ended", "from", p.Info().Remote, "error", err)
		_ = p.Close()
		return
	}
	if spawned != nil {
		spawned.session.pulsar.Store(p)
		if !spawned.session.door.enter(p, nil) {
			_ = p.Close()
		}
		return
	}
	l := new(letters)
	conn := a.newPulsarConn(p, nil, l.add)
	s, err := a.introduce(conn, p, l, nil, func(*wire.Hello) *wire.Error { return nil })
	if err != nil {
		a.log.Warn("an actor of pulsar was refused", "aid", p.AID(), "error", err)
		conn.Close(err)
		return
	}
	s.serve()
}

func (g *pulsarGate) enter(p *peer.Pulsar) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		g.guests[p] = struct{}{}
	}
	return !g.shut
}

func (g *pulsarGate) leave(p *peer.Pulsar) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.guests, p)
}

// admit says why somebody who says that it is aid may not be: it is not one that is expected,
// or somebody is it already. spawned is who waits for it, if it was spawned here.
func (g *pulsarGate) admit(aid string) (spawned *incarnation, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := g.expected[aid]; i != nil {
		delete(g.expected, aid)
		return i, nil
	}
	if g.arb.registry.get(aid) != nil {
		return nil, errors.New("who is that lives already: if it is the same process, its hook start has sent before its first notify was answered, see child.py in docs/pulsar.md")
	}
	if !slices.Contains(g.options.AIDs, aid) {
		return nil, errors.New("nobody of that aid is expected: list it (Options.Pulsar.AIDs, arbiter up --pulsar-aids), or have it spawned")
	}
	return nil, nil
}

// expect has i let in.
func (g *pulsarGate) expect(i *incarnation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected[i.aid] = i
}

// forget undoes expect. It may be called where there is no gate.
func (g *pulsarGate) forget(i *incarnation) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.expected[i.aid] == i {
		delete(g.expected, i.aid)
	}
}

// unheard closes a transport over which nothing came for limit, while it is armed.
type unheard struct {
	peer.Transport
	limit time.Duration
	timer *time.Timer
}

func (u *unheard) arm() { u.timer = time.AfterFunc(u.limit, func() { _ = u.Transport.Close() }) }

// disarm is called by who reads.
func (u *unheard) disarm() {
	u.timer.Stop()
	u.timer = nil
}

func (u *unheard) Read(b []byte) (int, error) {
	n, err := u.Transport.Read(b)
	if n > 0 && u.timer != nil {
		u.timer.Reset(u.limit)
	}
	return n, err
}

// WriteSome waits until something is taken.
func (u *unheard) WriteSome(b []byte) (int, error) { return peer.WriteSome(u.Transport, b) }

// CloseWrite ends the sending direction.
func (u *unheard) CloseWrite() error {
	if w, ok := u.Transport.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// The room of an actor of pulsar: it knows of none, and is not to be refused what its
// own arbiter would take.
var pulsarOutbox = peer.Limits{Data: 64 << 20, DataHard: 64 << 20, Reply: 128 << 20}

// newPulsarConn makes the connection of an actor of pulsar.
func (a *Arbiter) newPulsarConn(t peer.Transport, args *actor.SpawnArgs, lost func(*wire.Message)) *peer.Conn {
	timeout := a.options.Pulsar.Timeout
	if args != nil && args.HeartbeatTimeout > 0 {
		timeout = args.HeartbeatTimeout
	}
	return peer.New(t, peer.Options{
		MaxMessage: a.options.MaxMessage, Window: peer.PulsarWindow, Outbox: pulsarOutbox, OwnsEnd: true,
		Timeout: timeout, Lost: lost, Budget: a.budget, Pool: &a.pool,
	})
}

// inPulsar is the In of an actor of pulsar that is spawned.
const inPulsar = "pulsar"

// dropLabel takes from what an actor of pulsar spawns a name that it cannot have here: to
// pulsar that is a label, which many may have.
func (a *Arbiter) dropLabel(parent *incarnation, args *actor.SpawnArgs) {
	if parent.pulsar && args.In == inPulsar && args.Name != "" && (a.registry.get(args.Name) != nil || checkNames(args.Name) != nil) {
		args.Name = ""
	}
}

// checkPulsar completes what is to be known of an actor of pulsar.
func (a *Arbiter) checkPulsar(args *actor.SpawnArgs) *wire.Error {
	switch {
	case a.pulsar == nil:
		return invalid("this arbiter takes no actors of pulsar: set Options.Pulsar.Bind (arbiter up --pulsar)")
	case len(a.options.Pulsar.Spawn) == 0:
		return wire.Errorf(wire.CodeRefused, "this arbiter starts no actors of pulsar: set Options.Pulsar.Spawn (arbiter up --pulsar-spawn)").NotStarted()
	case len(args.Run) > 0 || args.Silent:
		return invalid("what is run for an actor of pulsar is Options.Pulsar.Spawn: leave out Run and Silent")
	}
	args.Kind = cmp.Or(args.Kind, "actor")
	return nil
}

// nowhere is the transport of an actor of pulsar that has not come yet.
type nowhere struct {
	closed chan struct{}
	once   sync.Once
}

func (n *nowhere) Read([]byte) (int, error)     { <-n.closed; return 0, io.EOF }
func (n *nowhere) Write([]byte) (int, error)    { <-n.closed; return 0, net.ErrClosed }
func (n *nowhere) TryWrite([]byte) (int, error) { return 0, nil }
func (n *nowhere) Info() peer.Info              { return peer.Info{Network: "nowhere"} }

// Close ends the wait of who reads.
func (n *nowhere) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// startPulsar starts the process that will join as i.
func (i *incarnation) startPulsar() error {
	g := i.arb.pulsar
	spec := &proc.Spec{Dir: i.args.Dir, Env: os.Environ()}
	if failed := applyBounds(spec, i.args.Bounds); failed != nil {
		return failed
	}
	fill := strings.NewReplacer("{host}", g.host, "{port}", g.port, "{aid}", i.aid, "{name}", cmp.Or(i.name, i.kind()))
	var argv []string
	for _, word := range g.options.Spawn {
		argv = append(argv, fill.Replace(word))
	}
	spec.Path, spec.Args = argv[0], argv[1:]
	spec.Env = slices.DeleteFunc(spec.Env, func(v string) bool {
		return strings.HasPrefix(proc.Variable(v), "ARBITER_") // it is not asked to join in another way
	})
	spec.Env = append(spec.Env, i.args.Env...)
	if i.slot != nil {
		i.slot.furnish(spec)
	}
	spec.Env = append(spec.Env, envName+"="+i.label())
	g.expect(i)
	if err := i.launch(spec); err != nil {
		g.forget(i)
		return err
	}
	return nil
}

// pulsarLast gives an actor of pulsar a moment to be told of its end, which a kill is for
// one that has no process here.
func (s *session) pulsarLast() {
	if s.pulsar.Load() != nil && s.inc.process.Load() == nil {
		s.post(peer.Control, &wire.Message{Kind: wire.KindStop})
		s.conn.Flush()
	}
}

// describePulsar adds to info the oddities of a pulsar connection.
func describePulsar(info *actor.Info, p *peer.Pulsar) {
	c := p.Counts()
	for name, n := range map[string]uint64{
		"foreignFrames": c.Foreign, "undecodable": c.Undecodable, "strayCallbacks": c.Stray,
		"forged": c.Forged, "refused": c.Refused, "acksTwice": c.Twice,
	} {
		if n > 0 {
			if info.Extra == nil {
				info.Extra = make(map[string]any)
			}
			info.Extra[name] = n
		}
	}
}

// toCBOR makes a body that an actor of pulsar has sent one that others read.
func toCBOR(m *wire.Message) *wire.Error {
	body, err := wire.PickleArgs(nil, m.Body)
	if err != nil {
		return wire.AsError(err, wire.CodeNotEncodable).With(wire.StartedNo)
	}
	m.Codec, m.Body = wire.CodecCBOR, body
	return nil
}

// errNotPulsar refuses a pickle of somebody who is no actor of pulsar: nobody has looked
// at what is in it.
func errNotPulsar() *wire.Error {
	return wire.Errorf(wire.CodeProtocol, "a body in codec %d is taken from actors of pulsar only", wire.CodecPickle).NotStarted()
}

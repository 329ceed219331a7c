package arbiter

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// embryo is what an incarnation has until it begins: between its being findable and
// the start of its process, which may be a restart's backoff later.
type embryo struct {
	failed error    // why its process cannot be started
	theirs *os.File // the end of the connection its process will have
	door   *door    // where it may connect otherwise; nil: nowhere
}

// connect makes i's connection, of which the process will get the other end.
func (e *embryo) connect(i *incarnation) {
	if i.pulsar {
		door := newDoor(&nowhere{closed: make(chan struct{})})
		l := new(letters)
		i.arb.newSession(i, i.arb.newPulsarConn(door, i.args, l.add), l)
		i.session.door = door
		return
	}
	ours, theirs, err := proc.Socketpair()
	if err != nil {
		e.failed = err
		ours, _ = net.Pipe() // a road for messages all the same, until they are told
	}
	e.theirs = theirs
	var t peer.Transport = peer.Choose(peer.NewTransport(ours), nil)
	if i.place == inProgram && i.arb.nearestAddress() != "" {
		e.door = newDoor(t)
		t = e.door
	}
	l := new(letters)
	i.arb.newSession(i, i.arb.newConn(t, i.args, l.add), l)
	i.session.door = e.door
}

// discard ends an embryo that never was findable.
func (e *embryo) discard(i *incarnation, err error) {
	if e.theirs != nil {
		_ = e.theirs.Close()
	}
	if i.session != nil {
		i.session.conn.Close(err)
	}
}

// begin begins i's life: it starts its goroutine, or its process. Once.
func (i *incarnation) begin() {
	i.mu.Lock()
	e := i.embryo
	i.embryo = nil
	if e == nil || i.over {
		i.mu.Unlock()
		if e != nil { // a message had its cell stop before it began
			e.discard(i, errors.New("it has ended"))
		}
		return
	}
	i.state.CompareAndSwap(int32(cell.Initial), int32(cell.Starting))
	i.arb.events.add(actor.Event{Type: "spawned", Actor: i.ref(), Kind: i.kind()}) // here, or its end could be told first
	i.mu.Unlock()
	if i.cell != nil {
		i.cell.Start()
		runtime.Gosched() // most constructors are over then, and need no timer, nor who waits for them a channel
		i.watchStart()
		return
	}
	i.watchStart()
	err := e.failed
	if err == nil {
		err = i.startProcess(e)
	}
	if err != nil {
		i.session.conn.Close(err)
		i.end(i.killedOr(&wire.Death{Cause: wire.CauseStart, Reason: i.notStarted(err)}))
		return
	}
	if !i.arb.background(func() { i.session.attend() }) {
		i.kill(&wire.Death{Cause: wire.CauseStopped, Reason: "the arbiter has stopped"})
	}
}

// notStarted says why the process could not be started, after "could not start".
func (i *incarnation) notStarted(err error) string {
	text := err.Error()
	if len(i.args.Run) > 0 {
		text = strings.TrimPrefix(text, fmt.Sprintf("cannot start %q: ", i.args.Run[0]))
	}
	return text
}

// killedOr returns the death that kill announced, or else d.
func (i *incarnation) killedOr(d *wire.Death) *wire.Death {
	if k := i.killed(); k != nil {
		return k
	}
	return d
}

// stillborn ends i if it has not begun. It reports whether that was so.
func (i *incarnation) stillborn(d *wire.Death) bool {
	e := i.takeEmbryo()
	if e != nil {
		i.bury(e, d)
	}
	return e != nil
}

// takeEmbryo returns what i is to begin with, once: whoever has it begins i, or
// buries it. It is nil if somebody has.
func (i *incarnation) takeEmbryo() *embryo {
	i.mu.Lock()
	defer i.mu.Unlock()
	e := i.embryo
	i.embryo = nil
	return e
}

// bury ends i, which has not begun.
func (i *incarnation) bury(e *embryo, d *wire.Death) {
	i.mu.Lock()
	i.unborn = true
	i.mu.Unlock()
	e.discard(i, errors.New("it was not started"))
	if i.cell != nil {
		i.cell.Kill(d) // which ends i
		return
	}
	i.end(d)
}

// neverBegan reports whether i ended before it began.
func (i *incarnation) neverBegan() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.unborn
}

// watchStart ends i if it is not ready in time.
func (i *incarnation) watchStart() {
	limit := i.startTimeout()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.begun {
		return
	}
	p := &patience{limit: limit, due: time.Now().Add(limit)}
	p.timer = time.AfterFunc(limit, func() { i.arb.background(i.overdue) })
	i.start = p
}

// overdue is called when the time i had to be ready is over.
func (i *incarnation) overdue() {
	i.mu.Lock()
	p := i.start
	if p == nil || p.excused() {
		i.mu.Unlock()
		return
	}
	i.mu.Unlock()
	i.kill(&wire.Death{Cause: wire.CauseStart, Reason: fmt.Sprintf("it was not ready after %v", p.limit)})
}

// beginsLocked notes that i is ready, or has ended. It reports whether that is the
// first time.
func (i *incarnation) beginsLocked() bool {
	if i.start != nil {
		i.start.timer.Stop()
		i.start = nil
	}
	first := !i.begun
	i.begun = true
	return first
}

// startProcess starts the process i lives in.
func (i *incarnation) startProcess(e *embryo) error {
	if i.pulsar {
		return i.startPulsar()
	}
	spec, err := i.processSpec()
	if err != nil {
		_ = e.theirs.Close()
		return err
	}
	spec.Socket = e.theirs
	var token string
	if e.door != nil {
		token = i.arb.tokens.issue(i, e.door)
	}
	spec.Env = i.arb.childEnv(i, spec.Env, spec.SocketAt(), token)
	if err := i.launch(spec); err != nil {
		i.arb.tokens.revoke(i)
		return err
	}
	return nil
}

// launch starts a process for i. If i was killed meanwhile, so is the process.
func (i *incarnation) launch(spec *proc.Spec) error {
	label := i.label()
	i.cry = new(cry)
	log, release := i.arb.logs.open(label)
	spec.Stdout = func(line []byte) { i.arb.printed(label, "stdout", line, log) }
	spec.Stderr = func(line []byte) {
		i.cry.hear(line)
		i.arb.printed(label, "stderr", line, log)
	}
	p, err := i.arb.family.Start(*spec)
	if err != nil {
		release()
		return err
	}
	i.process.Store(p)
	if log != nil {
		closes := func() {
			<-p.Done()
			release()
		}
		if !i.arb.background(closes) {
			release() // the arbiter has stopped, and what the process prints is for nobody
		}
	}
	// A cell is over before it looks for a process to end.
	if i.killed() != nil || i.isOver() || i.cell != nil && i.cell.Ended() {
		_ = p.Kill()
	}
	return nil
}

func (i *incarnation) isOver() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.over
}

// processSpec is what is to be started for i, but for its connection.
func (i *incarnation) processSpec() (*proc.Spec, error) {
	spec := &proc.Spec{Dir: i.args.Dir}
	if failed := applyBounds(spec, i.args.Bounds); failed != nil {
		return nil, failed
	}
	spec.Env = os.Environ()
	if i.place == inProcess {
		path, name, err := thisProgram()
		if err != nil {
			return nil, err
		}
		spec.Path, spec.Argv0 = path, name+": "+i.label()
	} else {
		spec.Path, spec.Args = i.args.Run[0], i.args.Run[1:]
	}
	spec.Env = append(spec.Env, i.args.Env...)
	if i.slot != nil {
		i.slot.furnish(spec) // last: what is its own counts
	}
	return spec, nil
}

// thisProgram is the path of the file that runs now, and what it is called: actors are of
// the version of their arbiter. Where the file of that name is another one now, or there is
// none any more, the path is one that only the system knows it by, and "ps -o comm" has the
// end of that.
func thisProgram() (path, name string, err error) {
	path, err = os.Executable()
	if err == nil {
		name = filepath.Base(path)
	} else {
		name = filepath.Base(os.Args[0])
	}
	const running = "/proc/self/exe" // on Linux; for who starts it, too, it is that file
	now, e := os.Stat(running)
	if e != nil {
		return path, name, err
	}
	if named, e := os.Stat(path); e != nil || !os.SameFile(now, named) {
		return running, name, nil
	}
	return path, name, err
}

// childEnv is the environment env of a child, with what tells it what it is.
func (a *Arbiter) childEnv(i *incarnation, env []string, fd int, token string) []string {
	own := []string{actor.EnvFD, envKind, actor.EnvToken, actor.EnvAddr, envName}
	env = slices.DeleteFunc(env, func(v string) bool { return slices.Contains(own, proc.Variable(v)) })
	env = append(env, envName+"="+i.label())
	if !i.args.Silent {
		env = append(env, fmt.Sprintf("%s=%d", actor.EnvFD, fd))
	}
	if i.place == inProcess {
		env = append(env, envKind+"="+i.kind())
	}
	if token != "" {
		env = append(env, actor.EnvToken+"="+token)
	}
	if at := a.nearestAddress(); at != "" {
		env = append(env, actor.EnvAddr+"="+at)
	}
	return env
}

// envName tells a process what it is called.
const envName = "ARBITER_NAME"

// nearestAddress is where somebody on this machine best joins, or "".
func (a *Arbiter) nearestAddress() string {
	all := a.Addresses()
	for _, at := range all {
		if strings.HasPrefix(at, "unix:") {
			return at
		}
	}
	for _, at := range all {
		if !strings.HasPrefix(at, "pulsar:") { // who is told this speaks natively, or json
			return at
		}
	}
	return ""
}

// attend serves the connection of a child, from its hello to its end.
func (s *session) attend() {
	i := s.inc
	p := i.process.Load()
	// It has until watchStart ends it. The end of the process ends the wait, too, also
	// where somebody else holds the other end of the connection open.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	gone := make(chan struct{})
	defer close(gone)
	i.arb.background(func() { s.outlive(p, gone) })
	hello, err := s.conn.AwaitHello(ctx)
	i.arb.tokens.revoke(i)
	i.arb.pulsar.forget(i)
	if err == nil {
		var version uint32
		var failed *wire.Error
		if version, failed = wire.Negotiate(hello); failed == nil && i.place == inProcess && hello.Kind != i.kind() {
			failed = wire.Errorf(wire.CodeRefused, "a child started as %q says it is %q", i.kind(), hello.Kind)
		}
		if failed != nil {
			s.conn.Refuse(failed)
			err = failed
		} else {
			s.greeted(hello)
			err = s.conn.Welcome(i.arb.welcome(i, version))
		}
	}
	if err != nil {
		i.lost.Store(true)
		s.conn.Close(err)
		i.end(unready(s.autopsy(err), err))
		return
	}
	s.serve()
}

// unready is d, the death of who ended while it was awaited, err says with what.
func unready(d *wire.Death, err error) *wire.Death {
	c := *d
	switch c.Cause {
	case wire.CauseKilled, wire.CauseStart, wire.CauseStopped, wire.CauseHung:
		return d
	}
	c.Cause = wire.CauseStart
	if refused := (*wire.Error)(nil); errors.As(err, &refused) {
		c.Reason = "its hello was refused: " + refused.Message // whatever it did then
		return &c
	}
	quiet := *d
	quiet.Stderr = nil // it is told beside the reason
	c.Reason = "before it was ready it " + quiet.String()
	return &c
}

// lastWords is how long what a process wrote before its end may take to be read.
const lastWords = 50 * time.Millisecond

// outlive ends the connection when the process has ended and it has not: somebody
// inherited the other end.
func (s *session) outlive(p *proc.Process, gone <-chan struct{}) {
	select {
	case <-p.Exited():
	case <-gone:
		return
	}
	if s.door.deserted() || !within(lastWords, gone) {
		s.conn.Close(errors.New("its process has ended"))
	}
}

// greeted keeps what the hello said.
func (s *session) greeted(h *wire.Hello) {
	s.inc.mode.Store(uint32(cell.ParseMode(h.Mode)))
	s.inc.mu.Lock()
	defer s.inc.mu.Unlock()
	s.hello = h
}

// newSession makes the arbiter's side of a connection for i.
func (a *Arbiter) newSession(i *incarnation, conn *peer.Conn, letters *letters) *session {
	s := &session{
		arb: a, inc: i, conn: conn, born: time.Now(), sender: []byte(i.aid), links: make(map[string]*link), sweepAt: manyLinks,
		watching: make(map[uint64]*incarnation), letters: letters,
	}
	i.session = s
	conn.Calls().Owner = s
	conn.Unsent = func(sender string, e *wire.Error) { a.undelivered(sender, i.label(), e) }
	return s
}

// newConn makes a connection as this arbiter has them, or as args wish.
func (a *Arbiter) newConn(t peer.Transport, args *actor.SpawnArgs, lost func(*wire.Message)) *peer.Conn {
	every, timeout := a.heartbeat(args)
	return peer.New(t, peer.Options{
		MaxMessage: a.options.MaxMessage, OwnsEnd: true,
		Interval: ownBeat(every, timeout), Timeout: timeout, Lost: lost, Budget: a.budget, Pool: &a.pool,
	})
}

func (a *Arbiter) heartbeat(args *actor.SpawnArgs) (every, timeout time.Duration) {
	every, timeout = a.options.Heartbeat, a.options.HeartbeatTimeout
	if args == nil {
		return every, timeout
	}
	if args.Heartbeat > 0 {
		every = args.Heartbeat
		timeout = min(max(timeout, 3*every), longest)
	}
	if args.HeartbeatTimeout > 0 {
		timeout = args.HeartbeatTimeout
		if args.Heartbeat == 0 {
			every = min(every, timeout/3)
		}
	}
	return every, timeout
}

// welcome is what a peer that is i is told.
func (a *Arbiter) welcome(i *incarnation, version uint32) *wire.Welcome {
	every, timeout := a.heartbeat(i.args)
	w := &wire.Welcome{
		Version: version, AID: i.aid, Name: i.name, Arbiter: a.self.aid, Window: peer.DefaultWindow,
		MaxMessage: a.options.MaxMessage, Interval: uint32(every.Milliseconds()),
		Timeout: uint32(timeout.Milliseconds()), PID: os.Getpid(),
	}
	if i.args == nil {
		return w
	}
	w.Budget, w.Grace = uint32(i.args.Budget.Milliseconds()), uint32(i.args.Grace.Milliseconds())
	if len(i.args.Extra) > 0 {
		b, err := wire.Encode(wire.CodecCBOR, nil, i.args.Extra)
		if err != nil {
			a.log.Warn("settings that have no image on the wire are not handed to an actor", "actor", i.label(), "error", err)
		}
		w.Settings = b
	}
	return w
}

// randomToken is what nobody guesses.
func randomToken() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // it never fails: see crypto/rand
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

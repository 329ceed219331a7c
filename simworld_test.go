package arbiter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// The simulation drives the production arbiter, sessions, cells and members over
// connections in memory and in virtual time. Everything that happens is chosen by a
// seed. Each message is known to the world from before it is sent, and each handler
// notes that it began, so that at the end what the library said can be compared with
// what was.

// simWorld is one run.
type simWorld struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand // of the goroutine that runs the scenario
	arb  *Arbiter
	born time.Time

	large  bool // some messages are
	kinds  map[string]*actor.Kind[*simState]
	actors []*simActor
	raws   []*simRaw
	texts  []*simText
	work   sync.WaitGroup // scripts and calls under way
	guests sync.WaitGroup // connections that are served
	over   chan struct{}  // closed when what is stuck is let go
	atRest []func()       // what a scenario checks itself; mu is held

	mu       sync.Mutex // guards what follows
	messages []*simMessage
	last     map[simPair]int   // the newest sequence number that began
	next     map[simPair]int   // the newest that was sent, to whomever
	began    map[string]uint64 // handlers that began, by aid
	back     map[[2]string]int // one-way messages that came back, by sender and target
	lives    map[string][]string
	downs    map[[2]string]time.Time // when a watcher was told of an end, both by aid
	watches  []*simWatch
	died     map[string]time.Time   // by aid
	ends     map[string][]time.Time // of lives, by name, as the log has them
	faulty   bool                   // connections stall: what is done at best effort may come late
	history  []string
	wrong    []violation
}

// simPair is whose messages have an order: those of one thread of one sender, to one
// incarnation.
type simPair struct{ from, thread, to string }

// violation is one thing that must not be.
type violation struct {
	row  string
	text string
	at   int // in history
}

// simMessage is one message as its sender knows it.
type simMessage struct {
	id       uint64
	way      byte // 's'end, 'c'all, 'a'ccept: a call that only waits for acceptance
	from     string
	to       string
	pair     simPair
	seq      int
	sent     time.Time
	deadline time.Time
	loose    bool // its caller may come back to it later than it ended

	often   bool // it may be made twice
	untyped bool // its sender speaks json: what its outcome was is not looked at
	ended   bool
	endedAt time.Time
	err     error
	started int
	by      string   // the aid of whose handler began
	all     []string // likewise, of a message to all of a pool
	answer  *simAnswer
}

func (m *simMessage) String() string {
	return fmt.Sprintf("#%d (%c, %s to %s)", m.id, m.way, m.from, m.to)
}

func newSim(t *testing.T, seed uint64) *simWorld {
	w := &simWorld{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), born: time.Now(), over: make(chan struct{}),
		last: make(map[simPair]int), next: make(map[simPair]int), began: make(map[string]uint64),
		back: make(map[[2]string]int), downs: make(map[[2]string]time.Time), died: make(map[string]time.Time), ends: make(map[string][]time.Time),
		lives: make(map[string][]string), kinds: make(map[string]*actor.Kind[*simState]),
	}
	w.large = w.rng.IntN(3) == 0
	inbox := actor.Limits{}
	if w.rng.IntN(2) == 0 {
		inbox = actor.Limits{Messages: 1 + w.rng.IntN(16), Bytes: 1 << (9 + w.rng.IntN(6))}
	}
	var kinds []actor.Behaviour
	for name, mode := range map[string]actor.Mode{"serial": actor.Serial, "interleaved": actor.Interleaved, "concurrent": actor.Concurrent(3)} {
		k := &actor.Kind[*simState]{
			Name: name, Mode: mode, Inbox: inbox, New: w.begin(name), Undelivered: (*simState).cameBack,
			Handlers: []actor.Handler[*simState]{actor.Handle(simAsk, (*simState).ask), actor.Handle(simLook, (*simState).ask), actor.On(simTell, (*simState).tell), actor.Handle(simLend, (*simState).lent, actor.Lent())},
		}
		w.kinds[name] = k
		kinds = append(kinds, k)
	}
	log := slog.New(slog.NewTextHandler(&simLog{w}, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	arb, err := Start(context.Background(), Options{
		Name: "sim", Kinds: kinds, Output: io.Discard, Logger: log, Strict: w.rng.IntN(2) == 0,
		Misuse: func(who actor.Ref, what string) { w.violate("misuse", "%s: %s", who, what) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.rng.IntN(2) == 0 {
		arb.budget = peer.NewBudget(leastBudget << w.rng.IntN(3)) // before anybody joins
	}
	w.arb = arb
	w.note("budget %d", arb.budget.Limit())
	w.note("inbox %+v, strict %v, large %v", inbox, arb.options.Strict, w.large)
	return w
}

// simLog puts what the arbiter logs into the history.
type simLog struct{ w *simWorld }

func (l *simLog) Write(b []byte) (int, error) {
	line := strings.TrimSpace(string(b))
	l.w.note("log: %s", line)
	if _, rest, ok := strings.Cut(line, `msg="an actor ended" actor=`); ok {
		name, _, _ := strings.Cut(rest, " ")
		l.w.mu.Lock()
		l.w.ends[name] = append(l.w.ends[name], time.Now())
		l.w.mu.Unlock()
	}
	if strings.Contains(line, "cause=protocol") && slices.ContainsFunc(l.w.actors, func(a *simActor) bool { return strings.Contains(line, "actor="+a.name+" ") }) {
		l.w.violate("1", "one that keeps the protocol was cut off: %s", line)
	}
	return len(b), nil
}

// begin is New of the kinds.
func (w *simWorld) begin(mode string) func(ctx context.Context) (*simState, error) {
	return func(ctx context.Context) (*simState, error) {
		self, _ := actor.Current(ctx)
		s := &simState{w: w, aid: self.Ref().AID, name: self.Ref().Name, mode: mode}
		w.lived(s.name, s.aid)
		w.mourn(s.aid)
		return s, nil
	}
}

// lived notes a life of who is called name.
func (w *simWorld) lived(name, aid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.lives[name], aid) {
		w.lives[name] = append(w.lives[name], aid)
	}
}

// mourn notes when who has the aid dies.
func (w *simWorld) mourn(aid string) {
	_, _ = actor.Watch(w.arb.Context(context.Background()), actor.Ref{AID: aid}, func(_ context.Context, e actor.Ended) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.died[e.Ref.AID] = time.Now()
		w.noteLocked("%s has ended: %v", aid, e.Cause)
	})
}

// spawn makes an actor at a random place.
func (w *simWorld) spawn(name, mode string, options ...actor.SpawnOption) *simActor {
	if w.rng.IntN(3) == 0 {
		return w.spawnIn("goroutine", name, mode, options...)
	}
	return w.spawnIn("member", name, mode)
}

func (w *simWorld) spawnIn(place, name, mode string, options ...actor.SpawnOption) *simActor {
	a := &simActor{w: w, name: name, mode: mode, place: place, script: make(chan func(context.Context), 1<<12)}
	var ctx context.Context
	if place == "goroutine" {
		options = append(options, actor.Name(name))
		ref, err := w.arb.Spawn(w.arb.Context(context.Background()), w.kinds[mode], options...)
		if err != nil {
			w.t.Fatalf("seed %d: spawn: %v", w.seed, err)
		}
		ctx = w.arb.registry.get(ref.AID).cell.Life()
	} else {
		ctx = a.join()
	}
	w.note("%s lives (%s, %s)", name, mode, place)
	w.work.Go(func() {
		for f := range a.script {
			f(ctx)
		}
	})
	w.actors = append(w.actors, a)
	return a
}

func (w *simWorld) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLocked(format, args...)
}

func (w *simWorld) noteLocked(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%9.3fs  ", time.Since(w.born).Seconds())+fmt.Sprintf(format, args...))
}

func (w *simWorld) violate(row, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violateLocked(row, format, args...)
}

func (w *simWorld) violateLocked(row, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.noteLocked("VIOLATION of row %s: %s", row, text)
	w.wrong = append(w.wrong, violation{row, text, len(w.history)})
}

// message notes that from is about to send something to to.
func (w *simWorld) message(ctx context.Context, way byte, from, thread, to string) *simMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &simMessage{id: uint64(len(w.messages)) + 1, way: way, from: from, to: to, pair: simPair{from, thread, ""}, sent: time.Now()}
	m.deadline = m.sent.Add(cell.DefaultTimeout)
	if d, ok := ctx.Deadline(); ok {
		m.deadline = d
	}
	w.next[m.pair]++
	m.seq = w.next[m.pair]
	w.messages = append(w.messages, m)
	w.noteLocked("%v is sent", m)
	return m
}

// end notes the outcome.
func (w *simWorld) end(m *simMessage, answer *simAnswer, err error) {
	if answer != nil && err == nil {
		w.intact("the answer to", m.id, answer.Pad)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.ended {
		w.violateLocked("5", "%v ended twice", m)
	}
	m.ended, m.endedAt, m.err, m.answer = true, time.Now(), err, answer
	if err != nil {
		w.noteLocked("%v ended: %v", m, err)
	} else {
		w.noteLocked("%v ended well", m)
	}
}

// kill ends an actor at once, in the background.
func (w *simWorld) kill(name string) {
	w.note("%s is killed", name)
	w.work.Go(func() { _, _ = w.arb.Kill(context.Background(), actor.To(name)) })
}

// ask has the arbiter do something, in the background, and notes how that ended.
func (w *simWorld) command(what string, do func(ctx context.Context) error) {
	w.note("%s", what)
	w.work.Go(func() {
		ctx, cancel := context.WithTimeout(w.arb.Context(context.Background()), time.Minute)
		defer cancel()
		if err := do(ctx); err != nil {
			w.note("%s: %v", what, err)
		} else {
			w.note("%s: done", what)
		}
	})
}

// pass lets a random time pass, or only everything that can happen now.
func (w *simWorld) pass() {
	switch w.rng.IntN(4) {
	case 0:
		synctest.Wait()
	case 1:
		time.Sleep(w.upTo(30 * time.Millisecond))
	}
}

// any returns one of the actors.
func (w *simWorld) any() *simActor { return w.actors[w.rng.IntN(len(w.actors))] }

// other returns the name of one that is not a.
func (w *simWorld) other(a *simActor) string {
	for {
		if b := w.any(); b != a {
			return b.name
		}
	}
}

// job is a random one: mostly small and quick, and in some worlds sometimes so large that
// it goes in pieces.
func (w *simWorld) job() simJob {
	var j simJob
	if w.rng.IntN(4) == 0 {
		j.Hold = int64(w.upTo(20 * time.Millisecond))
	}
	switch w.rng.IntN(16) {
	case 12, 13:
		if w.large {
			j.Pad = make([]byte, w.rng.IntN(400_000))
		}
	case 14:
		if w.large {
			j.Size = w.rng.IntN(400_000)
		}
	case 0:
		j.Pad = make([]byte, w.rng.IntN(20_000))
	case 1:
		j.Size = w.rng.IntN(20_000)
	case 2:
		j.Pad = make([]byte, w.rng.IntN(200))
	}
	return j
}

// finish lets everything come to rest, looks at it, and ends it.
func (w *simWorld) finish() {
	w.note("no more is begun")
	hung := time.AfterFunc(30*time.Minute, func() {
		w.violate("12", "something waits for ever")
		w.report()
		panic("the simulation hangs")
	})
	defer hung.Stop()
	for _, a := range w.actors {
		close(a.script)
		if a.near != nil {
			a.near.Stall(false)
			a.far.Stall(false)
		}
	}
	time.Sleep(time.Second)
	close(w.over)
	w.work.Wait()
	for _, r := range w.raws {
		r.leave()
	}
	synctest.Wait()
	w.mu.Lock()
	for _, p := range w.texts {
		if len(p.acks) > 0 && w.arb.registry.get(p.aid) != nil {
			w.violateLocked("5", "%s waits for %d answers", p.name, len(p.acks))
		}
	}
	w.mu.Unlock()
	// Heartbeats, backoffs, graces; and handlers that wait for each other's room in
	// turn, each for half a minute.
	for before, now := -1, 0; before != now; {
		time.Sleep(time.Minute)
		w.mu.Lock()
		before, now = now, len(w.history)
		w.mu.Unlock()
	}
	synctest.Wait()
	w.check()
	for _, p := range w.texts {
		p.leave()
	}
	for _, a := range w.actors {
		if a.member != nil {
			_ = a.member.Close()
		}
	}
	if err := w.arb.Stop(context.Background()); err != nil {
		w.violate("17", "the arbiter did not stop: %v", err)
	}
	w.guests.Wait()
	synctest.Wait()
	w.report()
}

// report fails the test, and prints what happened around each violation.
func (w *simWorld) report() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, v := range w.wrong {
		if n == 5 {
			w.t.Errorf("and %d more", len(w.wrong)-n)
			return
		}
		w.t.Errorf("seed %d: row %s: %s\n%s", w.seed, v.row, v.text, strings.Join(w.around(v), "\n"))
	}
}

// around returns the lines of history that have to do with v, and the last before it.
func (w *simWorld) around(v violation) (lines []string) {
	const before, about = 20, 40
	word := ""
	if n := strings.Index(v.text, "#"); n >= 0 {
		word, _, _ = strings.Cut(v.text[n:], " ")
		word += " "
	}
	for n, line := range w.history {
		near := n >= v.at-before && n < v.at+2
		if near || word != "" && strings.Contains(line, word) && len(lines) < about {
			lines = append(lines, line)
		}
	}
	return slices.Compact(lines)
}

// startedOf is what err says of the handler.
func startedOf(err error) actor.Started {
	var e *actor.Error
	if errors.As(err, &e) {
		return e.Started
	}
	return actor.StartedUnknown
}

// upTo is a random time, hardly ever the same: timers that fire together do so in an
// order that no seed decides.
func (w *simWorld) upTo(d time.Duration) time.Duration {
	return 1 + time.Duration(w.rng.Int64N(int64(d)))
}

// noDeadline is the context of a sender who sets none.
var noDeadline = context.Background()

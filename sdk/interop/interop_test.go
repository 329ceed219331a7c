package interop

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/websocket"
)

var (
	updateDocs = flag.Bool("update-docs", false, "write what was seen into testdata/seen.json and docs/interop.md")
	pulsar164  = flag.String("pulsar164", "", "the command that starts pulsar_worker.py with pulsar 1.6.4: {worker} {host} {port} {aid} {name}")
	pulsar202  = flag.String("pulsar202", "", "the same with pulsar 2.0.2")
)

const (
	// patience is how long something may take that comes at once, or not at all.
	patience = 30 * time.Second
	// callTimeout is how long a call may take, in milliseconds; pulsarTimeout is what
	// the arbiter gives a call of pulsar's. deadline is that of the call that outlives it.
	callTimeout   = 30000
	pulsarTimeout = 8 * time.Second
	deadline      = 1000
	// together is how many pairs are at work at a time.
	together = 4
	token    = "secret"
)

// child makes process actors of this test possible: it belongs to the program.
var child *arbiter.ChildHook

func TestMain(m *testing.M) {
	child = arbiter.Child(goKind)
	flag.Parse()
	os.Exit(m.Run())
}

// TestInterop has each party ask each other one, and itself, and compares what comes of
// it with what is to come of it. Of a party that is not here the page keeps what was seen.
func TestInterop(t *testing.T) {
	expected, seen := readExpected(t), readSeen(t)
	w := newWorld(t)
	absent := map[string]string{}
	for _, p := range parties {
		absent[p.name] = p.absent()
	}
	var pairs []*pair
	room := make(chan struct{}, together)
	var running sync.WaitGroup
	for _, from := range parties {
		for _, to := range parties {
			p := &pair{from: from, to: to, world: w, expected: expected, seen: map[string]string{}}
			pairs = append(pairs, p)
			if absent[from.name] != "" || absent[to.name] != "" {
				continue
			}
			running.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				p.err = p.run()
			})
		}
	}
	running.Wait()
	for _, p := range pairs {
		t.Run(p.name(), func(t *testing.T) {
			for _, of := range []party{p.from, p.to} {
				if why := absent[of.name]; why != "" {
					t.Skipf("%s: %s; the page keeps what was seen", of.name, why)
				}
			}
			if p.err != nil {
				t.Fatal(p.err)
			}
			p.check(t, seen[p.name()])
			if *updateDocs {
				seen[p.name()] = p.seen
			}
		})
	}
	if !t.Failed() || *updateDocs {
		keep(t, expected, seen)
	}
}

// pair is one that asks, and one that is asked.
type pair struct {
	from, to party
	caller   *worker
	world    *world
	expected expectations
	seen     map[string]string // what came of it, by topic
	err      error
}

func (p *pair) name() string { return p.from.name + " → " + p.to.name }

// check compares what was seen with what is to come, and was seen before.
func (p *pair) check(t *testing.T, before map[string]string) {
	for topic, got := range p.seen {
		rule := p.expected.rule(topic, p.from.name, p.to.name)
		if want := rule.outcome(); got != want {
			t.Errorf("%s: %s\nexpected: %s", topic, got, want)
		}
	}
	if *updateDocs {
		return
	}
	for topic := range before {
		if _, ok := p.seen[topic]; !ok {
			t.Errorf("%s: it is not asked for any more", topic)
		}
	}
	for topic, got := range p.seen {
		if before[topic] != got {
			t.Errorf("%s: %s\nseen before: %q; if it is as it should be: -update-docs", topic, got, before[topic])
		}
	}
}

// tell asks a worker for a command of its own.
func tell[R any](p *pair, of *worker, command string, args ...any) (R, error) {
	ctx, done := context.WithTimeout(p.world.ctx, 2*patience)
	defer done()
	r, err := actor.Call[R](ctx, actor.To(of.aid), command, args...)
	if err != nil {
		err = fmt.Errorf("%s: %w", command, err)
	}
	return r, err
}

func (p *pair) run() error {
	caller, err := p.from.start(p.world, true)
	if err != nil {
		return err
	}
	defer caller.end()
	p.caller = caller
	target, err := p.to.start(p.world, false)
	if err != nil {
		return err
	}
	defer target.end()
	for _, step := range []func(*worker) error{p.ping, p.values, p.sizes, p.failure, p.canceled, p.deadline, p.stop} {
		if err := step(target); err != nil {
			return err
		}
	}
	return p.down()
}

// ask has the caller ask the target.
func (p *pair) ask(target *worker, command string, timeout int, args ...any) (string, error) {
	if args == nil {
		args = []any{}
	}
	return tell[string](p, p.caller, "ask", target.aid, command, args, timeout)
}

// prompt returns a function that says whether pulsar was told something by its deadline
// alone, since None is all that it hears of anything.
func (p *pair) prompt(what string) func(err error) error {
	began := time.Now()
	return func(err error) error {
		if after := time.Since(began); err == nil && after >= pulsarTimeout && names("pulsar", p.from.name) {
			return fmt.Errorf("%s: it took %v: the deadline that the arbiter gives a call of pulsar's", what, after)
		}
		return err
	}
}

func (p *pair) ping(target *worker) (err error) {
	p.seen["ping"], err = p.ask(target, "ping", callTimeout)
	return err
}

func (p *pair) values(target *worker) error {
	prompt := p.prompt("values")
	list, err := tell[[][]string](p, p.caller, "offer", target.aid)
	for _, v := range list {
		name, arrived, back := v[0], v[1], v[2]
		var text *string
		if json.Unmarshal([]byte(arrived), &text) == nil && text != nil {
			arrived = *text // what the target has written down
		}
		if arrived != back {
			arrived += ", back " + back
		}
		p.seen[name] = arrived
	}
	return prompt(err)
}

// sizes are those around the bounds where the length of a frame, or of a value in it,
// is written otherwise: 125, 255 and 65,535 bytes. What stands before the text in a frame
// differs between the profiles, hence many of them: all, for the page, and else some.
func (p *pair) sizes(target *worker) (err error) {
	step := 8
	if *updateDocs {
		step = 1
	}
	for _, s := range []struct {
		topic, form     string
		low, high, step int
	}{
		{"texts of 0 to 260 bytes", "text", 0, 260, 1},
		{"texts of 65,380 to 65,540 bytes", "text", 65380, 65540, step},
		{"0 to 260 bytes", "bytes", 0, 260, 1},
		{"65,380 to 65,540 bytes", "bytes", 65380, 65540, 16},
		{"a text of 1 MiB", "text", 1 << 20, 1 << 20, 1},
		{"1 MiB of bytes", "bytes", 1 << 20, 1 << 20, 1},
	} {
		if p.seen[s.topic], err = tell[string](p, p.caller, "sweep", target.aid, s.form, s.low, s.high, s.step); err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) failure(target *worker) (err error) {
	prompt := p.prompt("error")
	p.seen["error"], err = p.ask(target, "fail", callTimeout, "no_paper", "the tray is empty")
	return prompt(err)
}

// fate adds to what became of a call for its caller what became of its handler.
func (p *pair) fate(target *worker, topic, tag, outcome string) error {
	ms := int(patience.Milliseconds())
	if strings.HasSuffix(p.expected.rule(topic, p.from.name, p.to.name).outcome(), "ran on") {
		ms = 0 // it is not to be told: nothing to wait for
	}
	if _, err := tell[bool](p, target, "begun", tag); err != nil {
		return err
	}
	fate, err := tell[string](p, target, "fate", tag, ms)
	p.seen[topic] = outcome + "; the handler " + fate
	return err
}

func (p *pair) canceled(target *worker) error {
	outcome, err := tell[string](p, p.caller, "abandon", target.aid, "c")
	if err != nil {
		return err
	}
	return p.fate(target, "cancel", "c", outcome)
}

func (p *pair) deadline(target *worker) error {
	prompt := p.prompt("deadline")
	outcome, err := p.ask(target, "hold", deadline, "d")
	if err != nil {
		return err
	}
	if names("pulsar", p.from.name) && prompt(nil) == nil {
		return fmt.Errorf("deadline: %s came before it", outcome)
	}
	return p.fate(target, "deadline", "d", outcome)
}

func (p *pair) stop(target *worker) error {
	ended, err := p.world.watch(target)
	if err != nil {
		return err
	}
	prompt := p.prompt("stop")
	outcome, err := p.ask(target, "stop", callTimeout)
	if err = prompt(err); err != nil {
		return err
	}
	select {
	case e := <-ended:
		p.seen["stop"] = outcome + "; the target: " + string(e.Cause)
		return nil
	case <-time.After(patience):
		return fmt.Errorf("stop: answered with %s, and the target lives on", outcome)
	}
}

// down has another target killed while it handles a call.
func (p *pair) down() error {
	target, err := p.to.start(p.world, false)
	if err != nil {
		return err
	}
	defer target.end()
	type told struct {
		outcome string
		err     error
	}
	asked := make(chan told, 1)
	prompt := p.prompt("down")
	go func() {
		outcome, err := p.ask(target, "hold", callTimeout, "k")
		asked <- told{outcome, prompt(err)}
	}()
	_, err = tell[bool](p, target, "begun", "k")
	if err == nil {
		err = target.kill()
	}
	if err != nil {
		target.end() // then the caller is told
	}
	r := <-asked
	p.seen["down"] = r.outcome
	if err == nil {
		err = r.err
	}
	return err
}

// world is an arbiter that takes all parties.
type world struct {
	arb     *arbiter.Arbiter
	ctx     context.Context
	serial  atomic.Int64 // of those that join
	witness actor.Ref
	ended   sync.Map // of aid to the chan actor.Ended in which its end is told
}

func newWorld(t *testing.T) *world {
	t.Helper()
	var aids []string
	for n := range int64(maxPulsar) {
		aids = append(aids, pulsarAID(n+1))
	}
	log := &logs{}
	arb, err := arbiter.Start(context.Background(), arbiter.Options{
		Name: "interop", Kinds: []actor.Behaviour{goKind}, Child: child, Output: log, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Listen: "127.0.0.1:0", Token: token, HTTP: websocket.Serve, HeartbeatTimeout: time.Minute,
		Pulsar: arbiter.PulsarOptions{Bind: "127.0.0.1:0", AIDs: aids, Timeout: time.Minute, CallTimeout: pulsarTimeout},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := arb.Stop(context.Background()); err != nil {
			t.Errorf("the arbiter did not stop by itself: %v", err)
		}
		if t.Failed() {
			t.Logf("the arbiter's log:\n%s", log)
		}
	})
	w := &world{arb: arb, ctx: arb.Context(context.Background())}
	if w.witness, err = arb.Spawn(w.ctx, w.witnessKind()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) address(kind string) string {
	for _, a := range w.arb.Addresses() {
		if address, ok := strings.CutPrefix(a, kind); ok {
			return address
		}
	}
	return ""
}

// watch returns where the end of target is told.
func (w *world) watch(target *worker) (<-chan actor.Ended, error) {
	ended := make(chan actor.Ended, 1)
	w.ended.Store(target.aid, ended)
	_, err := actor.Call[any](w.ctx, w.witness, "watch", target.aid)
	return ended, err
}

// witnessKind is who sees the targets end.
func (w *world) witnessKind() *actor.Kind[actor.None] {
	watch := func(_ actor.None, ctx context.Context, aid string) error {
		_, err := actor.Watch(ctx, actor.To(aid), func(_ context.Context, e actor.Ended) {
			if ended, ok := w.ended.LoadAndDelete(aid); ok {
				ended.(chan actor.Ended) <- e
			}
		})
		return err
	}
	return &actor.Kind[actor.None]{
		Name: "witness", New: func(context.Context) (actor.None, error) { return actor.None{}, nil },
		Handlers: []actor.Handler[actor.None]{actor.On(actor.NewCommand[string, actor.None]("watch"), watch)},
	}
}

// logs is what was logged, for who wants to know.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

package arbiter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// The subject: an actor with one command for each way a call can end.
var (
	Double   = actor.NewCommand[int, int]("double")
	Fail     = actor.NewCommand[string, actor.None]("fail")
	Panic    = actor.NewCommand[string, actor.None]("panic")
	Block    = actor.NewCommand[actor.None, actor.None]("block")
	Record   = actor.NewCommand[int, actor.None]("record", actor.NoAck())
	Recorded = actor.NewCommand[actor.None, []int]("recorded")
	Canceled = actor.NewCommand[actor.None, int]("canceled")
	Big      = actor.NewCommand[int, []byte]("big")
	Odd      = actor.NewCommand[actor.None, any]("odd")
	Exit     = actor.NewCommand[int, actor.None]("exit")
	WhoAmI   = actor.NewCommand[actor.None, actor.Ref]("who_am_i")
	WhoAsks  = actor.NewCommand[actor.None, actor.Ref]("who_asks")
	Missing  = actor.NewCommand[actor.None, actor.None]("dubble")
	Area     = actor.NewCommand[Rect, int]("area")
	Relay    = actor.NewCommand[[]actor.Ref, int]("relay")
)

// Rect is an argument struct.
type Rect struct {
	Width  int `cbor:"width" json:"width"`
	Height int `cbor:"height" json:"height"`
}

var errNoRows = actor.NewError("no_rows", "no such rows")

type subject struct {
	recorded []int
	canceled int
}

func (s *subject) Double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func (s *subject) Fail(_ context.Context, text string) (actor.None, error) {
	return actor.None{}, fmt.Errorf("select %s: %w", text, errNoRows)
}

func (s *subject) Panic(_ context.Context, text string) (actor.None, error) { panic(text) }

func (s *subject) Block(ctx context.Context, _ actor.None) (actor.None, error) {
	<-ctx.Done()
	s.canceled++
	return actor.None{}, ctx.Err()
}

func (s *subject) Record(_ context.Context, n int) error {
	s.recorded = append(s.recorded, n)
	return nil
}

func (s *subject) Recorded(context.Context, actor.None) ([]int, error) { return s.recorded, nil }

func (s *subject) Canceled(context.Context, actor.None) (int, error) { return s.canceled, nil }

func (s *subject) Big(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil }

func (s *subject) Odd(context.Context, actor.None) (any, error) {
	return map[string]any{"fine": 1, "hook": func() {}}, nil
}

func (s *subject) Exit(_ context.Context, code int) (actor.None, error) {
	fmt.Fprintln(os.Stderr, "no such table: orders")
	os.Exit(code)
	return actor.None{}, nil
}

func (s *subject) WhoAmI(ctx context.Context, _ actor.None) (actor.Ref, error) {
	self, _ := actor.Current(ctx)
	return self.Ref(), nil
}

func (s *subject) WhoAsks(ctx context.Context, _ actor.None) (actor.Ref, error) {
	who, _ := actor.Caller(ctx)
	return who, nil
}

func (s *subject) Area(_ context.Context, r Rect) (int, error) { return r.Width * r.Height, nil }

// Relay asks the first of the list to relay to the rest; the last one is done.
func (s *subject) Relay(ctx context.Context, way []actor.Ref) (int, error) {
	if len(way) == 0 {
		return 1, nil
	}
	n, err := Relay.Call(ctx, way[0], way[1:])
	return n + 1, err
}

func handlers() []actor.Handler[*subject] {
	return []actor.Handler[*subject]{
		actor.Handle(Double, (*subject).Double), actor.Handle(Fail, (*subject).Fail), actor.Handle(Panic, (*subject).Panic),
		actor.Handle(Block, (*subject).Block), actor.On(Record, (*subject).Record), actor.Handle(Recorded, (*subject).Recorded),
		actor.Handle(Canceled, (*subject).Canceled), actor.Handle(Big, (*subject).Big), actor.Handle(Odd, (*subject).Odd),
		actor.Handle(Exit, (*subject).Exit), actor.Handle(WhoAmI, (*subject).WhoAmI), actor.Handle(WhoAsks, (*subject).WhoAsks),
		actor.Handle(Area, (*subject).Area), actor.Handle(Relay, (*subject).Relay),
	}
}

func newSubject(context.Context) (*subject, error) { return &subject{}, nil }

var (
	Subject = &actor.Kind[*subject]{Name: "subject", New: newSubject, Handlers: handlers()}
	Weaver  = &actor.Kind[*subject]{Name: "weaver", New: newSubject, Handlers: handlers(), Mode: actor.Interleaved}
	Broken  = &actor.Kind[*subject]{Name: "broken", New: func(context.Context) (*subject, error) { return nil, errors.New("no disk") }}
	Caller  = &actor.Kind[actor.None]{Name: "caller"}
)

var child *arbiter.ChildHook

func TestMain(m *testing.M) {
	// The race detector sleeps for a second at the end of every program, by default.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	if os.Getenv(envHost) != "" {
		host()
	}
	if os.Getenv(envEnemy) != "" {
		beEnemies()
	}
	if os.Getenv(envStandin) != "" {
		beStandin()
	}
	if os.Getenv(envPair) != "" {
		bePair()
	}
	if os.Getenv(envTypist) != "" {
		typistChild()
	}
	playScene()
	endEarly()
	child = arbiter.Child(append(sceneKinds(), Subject, Weaver, Broken, Ordered, Victim, One, Witness, Letbox, Reader, Clerk, Soaker, Keeper, Parent, LooseParent, Clinger, Lodger)...)
	actAs()
	_ = os.Setenv(envRun, strconv.Itoa(os.Getpid()))
	code := m.Run()
	if text := left(); text != "" && code == 0 {
		fmt.Fprintln(os.Stderr, "the tests left behind:", text)
		code = 1
	}
	os.Exit(code)
}

// world is one arbiter and ways to put actors near it.
type world struct {
	t   *testing.T
	arb *arbiter.Arbiter
	ctx context.Context
	log *lockedBuffer
	dir string

	stopped bool // by the test, which has looked at what came of it
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld starts an arbiter that leaves nothing behind, or the test fails.
func newWorld(t *testing.T, change ...func(*arbiter.Options)) *world {
	t.Helper()
	before := runtime.NumGoroutine()
	dir, err := os.MkdirTemp("", "arb")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: &lockedBuffer{}, dir: dir}
	o := arbiter.Options{
		Name: "test", Child: child, Kinds: []actor.Behaviour{Subject, Weaver, Broken, Ordered}, Control: true,
		Listen: "127.0.0.1:0", Token: "secret", Output: io.Discard, StopTimeout: 3 * time.Second,
		Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "r"))
	arb, err := arbiter.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w.arb = arb
	// No measure: some of these take seconds, and under the race detector on a busy machine ten times that.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	w.ctx = arb.Context(ctx)
	t.Cleanup(func() {
		cancel()
		if err := arb.Stop(context.Background()); err != nil && !w.stopped {
			t.Errorf("stop: %v", err)
		}
		settled(t, before)
		_ = os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("log:\n%s", w.log)
		}
	})
	return w
}

// settled waits for the goroutines to be as few as before.
func settled(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			buf = buf[:runtime.Stack(buf, true)]
			// Where the kernel takes its time to reap what has ended, that goes on by itself.
			if late := bytes.Count(buf, []byte("proc.(*Process).bury in goroutine")); runtime.NumGoroutine()-late > before {
				t.Errorf("%d goroutines, of which %d reap, and there were %d before:\n%s", runtime.NumGoroutine(), late, before, buf)
			}
			return
		}
		runtime.Gosched()
		<-time.After(time.Millisecond)
	}
}

func (w *world) address(prefix string) string {
	for _, a := range w.arb.Addresses() {
		if strings.HasPrefix(a, prefix) {
			return a
		}
	}
	w.t.Fatalf("no %s address among %v", prefix, w.arb.Addresses())
	return ""
}

// member has kind join from this process.
func (w *world) member(address string, kind actor.Behaviour, o actor.JoinOptions) *actor.Member {
	w.t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	}
	m := actor.NewMember(address, kind, o)
	w.t.Cleanup(func() { m.Close() })
	return m
}

func (w *world) join(address string, kind actor.Behaviour, o actor.JoinOptions) actor.Ref {
	w.t.Helper()
	m := w.member(address, kind, o)
	ref, err := m.Ref(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return ref
}

// places are the ways an actor can be near an arbiter.
var places = []struct {
	name string
	put  func(w *world, kind actor.Behaviour) actor.Ref
}{
	{"goroutine", func(w *world, kind actor.Behaviour) actor.Ref { return w.spawn(kind) }},
	{"pipe", func(w *world, kind actor.Behaviour) actor.Ref {
		ours, theirs := peer.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); w.arb.ServeConn(theirs) }()
		w.t.Cleanup(func() { <-done })
		return w.join("", kind, actor.JoinOptions{}.Over(ours))
	}},
	{"process", func(w *world, kind actor.Behaviour) actor.Ref { return w.spawn(kind, actor.Process()) }},
	{"unix", func(w *world, kind actor.Behaviour) actor.Ref {
		return w.join(w.address("unix:"), kind, actor.JoinOptions{})
	}},
	{"tcp", func(w *world, kind actor.Behaviour) actor.Ref {
		return w.join(w.address("tcp:"), kind, actor.JoinOptions{Token: "secret"})
	}},
	{"json unix", func(w *world, kind actor.Behaviour) actor.Ref { return w.pull(w.address("unix:"), kind) }},
	{"json tcp", func(w *world, kind actor.Behaviour) actor.Ref { return w.pull(w.address("tcp:"), kind) }},
}

func (w *world) spawn(kind actor.Behaviour, o ...actor.SpawnOption) actor.Ref {
	w.t.Helper()
	ref, err := w.arb.Spawn(w.ctx, kind, o...)
	if err != nil {
		w.t.Fatalf("spawn %s: %v", kind.KindName(), err)
	}
	return ref
}

// TestOutcomes is the one body: every way a message can end, from every kind of
// caller, in every kind of place.
func TestOutcomes(t *testing.T) {
	for _, place := range places {
		for _, from := range []string{"arbiter", "unix"} {
			t.Run(place.name+"/from "+from, func(t *testing.T) {
				w := newWorld(t)
				if from == "unix" {
					m := w.member(w.address("unix:"), Caller, actor.JoinOptions{})
					w.ctx = m.Context(w.ctx)
					// Spawning is asked of the arbiter itself in either case.
				}
				outcomes(t, w, func() actor.Ref { return place.put(w, Subject) })
			})
		}
	}
}

func outcomes(t *testing.T, w *world, put func() actor.Ref) {
	ctx := w.ctx
	s := put()

	if n, err := Double.Call(ctx, s, 21); n != 42 || err != nil {
		t.Fatalf("double: %d, %v", n, err)
	}
	if n, err := actor.Call[int](ctx, s, "double", 4); n != 8 || err != nil {
		t.Errorf("double by name: %d, %v", n, err)
	}
	if n, err := actor.Call[int](ctx, s, "area", 3, actor.Kwargs{"height": 5}); n != 15 || err != nil {
		t.Errorf("area by position and name: %d, %v", n, err)
	}
	if n, err := Area.Call(ctx, s, Rect{2, 3}); n != 6 || err != nil {
		t.Errorf("area: %d, %v", n, err)
	}
	if pong, err := actor.Ping.Call(ctx, s, actor.None{}); pong != "pong" || err != nil {
		t.Errorf("ping: %q, %v", pong, err)
	}
	if me, err := WhoAmI.Call(ctx, s, actor.None{}); me.AID != s.AID || err != nil {
		t.Errorf("who_am_i: %v, %v, want %v", me, err, s)
	}
	if who, err := WhoAsks.Call(ctx, s, actor.None{}); who.IsZero() || err != nil {
		t.Errorf("who_asks: %v, %v", who, err)
	}

	// One way, in order, before the call that asks for them.
	for n := range 100 {
		if err := Record.Send(ctx, s, n); err != nil {
			t.Fatalf("send %d: %v", n, err)
		}
	}
	if _, err := Record.Call(ctx, s, 100); err != nil {
		t.Errorf("call of a command without acknowledgement: %v", err)
	}
	got, err := Recorded.Call(ctx, s, actor.None{})
	if err != nil || len(got) != 101 {
		t.Fatalf("recorded %d messages, %v", len(got), err)
	}
	for n, v := range got {
		if n != v {
			t.Fatalf("message %d came at place %d", v, n)
		}
	}

	// The handler's error keeps its text and its code.
	var e *actor.Error
	_, err = Fail.Call(ctx, s, "orders")
	if !errors.Is(err, actor.ErrApp) || !errors.Is(err, errNoRows) || !errors.As(err, &e) || e.App != "no_rows" ||
		e.Message != "select orders: no such rows" || e.Started != actor.StartedYes {
		t.Errorf("fail: %v (%+v)", err, e)
	}
	expect := func(what string, err error, want error, texts ...string) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want code %v", what, err, want.(*actor.Error).Code)
			return
		}
		for _, text := range texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q does not say %q", what, err, text)
			}
		}
	}
	_, err = Missing.Call(ctx, s, actor.None{})
	expect("unknown command", err, actor.ErrUnknownCommand, `did you mean "double"?`)
	_, err = Double.Call(ctx, actor.To("subjekt"), 1)
	expect("unknown actor", err, actor.ErrUnknownActor, `no actor "subjekt"`)
	_, err = actor.Call[int](ctx, s, "double", "x")
	expect("wrong type", err, actor.ErrInvalid, "int")
	_, err = actor.Call[int](ctx, s, "area", actor.Kwargs{"widht": 5})
	expect("wrong name", err, actor.ErrInvalid, `did you mean "width"?`)
	_, err = Odd.Call(ctx, s, actor.None{})
	if !errors.Is(err, actor.ErrNotEncodable) && err != nil {
		t.Errorf("result without an image: %v", err)
	}

	// Deadline and cancel reach the handler.
	short, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	began := time.Now()
	_, err = Block.Call(short, s, actor.None{})
	stop()
	expect("deadline", err, actor.ErrDeadline)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v is not context.DeadlineExceeded", err)
	}
	if late := time.Since(began); late > 2*time.Second {
		t.Errorf("a deadline of 20ms was told after %v", late)
	}
	p := Block.Start(ctx, s, actor.None{})
	p.Cancel()
	_, err = p.Wait()
	expect("cancel", err, actor.ErrCanceled)
	_, informs := actor.GetInfo.Call(ctx, s, actor.None{})
	canceled, stop := context.WithCancel(ctx)
	p = Block.Start(canceled, s, actor.None{})
	if informs == nil { // a puppet does not, and counts every one that it is told of
		// One is at work when it is taken back; the others may have been before they began.
		eventually(t, "it is at work", func() bool {
			info, err := actor.GetInfo.Call(ctx, s, actor.None{})
			return err == nil && info.Handling == "block"
		})
	}
	go stop()
	_, err = p.Wait()
	expect("cancel by ctx", err, actor.ErrCanceled)
	if n, err := Canceled.Call(ctx, s, actor.None{}); n < 1 || err != nil {
		t.Errorf("the contexts of %d handlers ended, %v", n, err)
	}

	// Watch, then stop.
	ended := make(chan actor.Ended, 1)
	if _, err := actor.Watch(ctx, s, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		t.Fatalf("watch: %v", err)
	}
	if err := actor.Stop.Send(ctx, s, actor.None{}); err != nil {
		t.Errorf("stop: %v", err)
	}
	select {
	case e := <-ended:
		if e.Cause != actor.CauseStopped || e.Ref.AID != s.AID {
			t.Errorf("watch: %+v, want stopped", e)
		}
	case <-ctx.Done():
		t.Fatal("no Down after stop")
	}
	_, err = Double.Call(ctx, s, 1)
	expect("call after stop", err, actor.ErrDown, "stopped")

	// A panic is the actor's death.
	s = put()
	if _, err := actor.Watch(ctx, s, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		t.Fatalf("watch: %v", err)
	}
	waiting := Block.Start(ctx, s, actor.None{})
	waiting.Cancel()
	behind := Panic.Start(ctx, s, "boom 17")
	_, err = behind.Wait()
	var down *actor.DownError
	if !errors.As(err, &down) || down.Cause != actor.CausePanic || !strings.Contains(down.Reason, "boom 17") {
		t.Errorf("panic: %v (%+v)", err, down)
	}
	select {
	case e := <-ended:
		if e.Cause != actor.CausePanic {
			t.Errorf("watch: %+v, want panic", e)
		}
	case <-ctx.Done():
		t.Fatal("no Down after a panic")
	}

	// Killed while handling.
	s = put()
	p = Block.Start(ctx, s, actor.None{})
	d, err := actor.KillActor.Call(ctx, actor.Arbiter, s)
	if err != nil || d.Cause != actor.CauseKilled {
		t.Errorf("kill_actor: %+v, %v", d, err)
	}
	_, err = p.Wait()
	expect("killed", err, actor.ErrDown, "killed")
}

// TestProcessDeath: what the system knows of a child's end reaches the caller.
func TestProcessDeath(t *testing.T) {
	w := newWorld(t)
	var down *actor.DownError
	s := w.spawn(Subject, actor.Process(), actor.Name("tally"))
	_, err := Exit.Call(w.ctx, s, 3)
	if !errors.As(err, &down) || down.Cause != actor.CauseExit || down.ExitCode != 3 || len(down.Stderr) == 0 {
		t.Fatalf("exit: %v (%+v)", err, down)
	}
	want := fmt.Sprintf(`call exit on "tally" (process, pid %d): exited with code 3; last line: "no such table: orders"`, down.PID)
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}

	s = w.spawn(Subject, actor.Process(), actor.Name("tally"))
	info, err := actor.GetInfo.Call(w.ctx, s, actor.None{})
	if err != nil {
		t.Fatal(err)
	}
	p := Block.Start(w.ctx, s, actor.None{})
	if err := signalTo(info.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = p.Wait()
	if !errors.As(err, &down) || down.Cause != actor.CauseSignal || down.Signal != "killed" {
		t.Errorf("kill -9: %v (%+v)", err, down)
	}
	t.Logf("kill -9 was told after %v", time.Since(began))
	if _, err := w.arb.Spawn(w.ctx, Broken, actor.Process()); !errors.As(err, &down) || down.Cause != actor.CauseStart || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("a process that cannot start: %v (%+v)", err, down)
	}
	if _, err := w.arb.Spawn(w.ctx, Broken); !errors.As(err, &down) || down.Cause != actor.CauseStart || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("a goroutine that cannot start: %v (%+v)", err, down)
	}
}

// within waits until ok holds, which is a state of the operating system, or of
// actors that nothing tells of.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s: not after %v", what, limit)
			return
		}
	}
}

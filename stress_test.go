//go:build linux

package arbiter_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// The long volumes:
//
//	go test -run TestWorkersKilled -kills 1000 -timeout 30m .
//	go test -run TestArbiterKilledAnywhere -arbiters 200 -timeout 30m .
//	go test -run TestManyActors -actors 1000000 -timeout 10m -v .
var (
	kills    = flag.Int("kills", 30, "how many workers TestWorkersKilled kills")
	arbiters = flag.Int("arbiters", 6, "how many arbiters TestArbiterKilledAnywhere kills")
)

// goroutines is how many there are, but for those that wait for some actor's work, of
// which an arbiter or a member may have none or some (cell.Commons).
func goroutines() int {
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			stacks = stacks[:n]
			break
		}
		stacks = make([]byte, 2*len(stacks))
	}
	count := 0
	for one := range strings.SplitSeq(string(stacks), "\n\n") {
		if !strings.Contains(one, "cell.(*Commons).worker") {
			count++
		}
	}
	return count
}

// eager is a policy that starts again soon and never gives up.
var eager = supervise.Policy{MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond, MaxCrashes: -1}

// spread sorts durations and says where the middle and the ends are.
type spread []time.Duration

func (s spread) at(part float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	slices.Sort(s)
	return s[min(int(part*float64(len(s))), len(s)-1)]
}

func (s spread) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, max %v", s.at(0.5).Round(time.Microsecond), s.at(0.99).Round(time.Microsecond), s.at(1).Round(time.Microsecond))
}

// fds is how many descriptors this process has open, but for those that who calls, or is asked, one
// thing at a time waits at: a member has them from when it did that for a while until it ends, and
// there are 16 at most. TestLoneCalls sees that they end.
func fds() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list) - eventfds()
}

// procStat returns the state and the parent of a process, as the system lists them.
func procStat(pid int) (state string, parent int) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	_, _ = fmt.Sscan(rest, &state, &parent)
	return state, parent
}

// pids are those of all processes there are.
func pids() (all []int) {
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// zombies are the ended children of this process that nobody has waited for.
func zombies() (found []int) {
	for _, pid := range pids() {
		if state, parent := procStat(pid); state == "Z" && parent == os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}

// workers returns who is in the slots of a pool, and runs.
func (w *world) workers(pool string) (running []actor.Info) {
	w.t.Helper()
	list, err := actor.Ps.Call(w.ctx, actor.Arbiter, actor.None{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range list {
		if strings.HasPrefix(i.Name, pool+"/") && i.State == "running" && i.PID != 0 {
			running = append(running, i)
		}
	}
	return running
}

// double is a call with a result that can be wrong.
func double(pool actor.Ref) func(context.Context) error {
	var n atomic.Int64
	return func(ctx context.Context) error {
		v := int(n.Add(1))
		got, err := Double.Call(ctx, pool, v)
		if err == nil && got != 2*v {
			return fmt.Errorf("twice %d is %d", v, got)
		}
		return err
	}
}

// deaths counts how often each actor's end was told.
type deaths struct {
	mu   sync.Mutex
	of   map[string]int
	told map[string]chan actor.Ended
}

func (d *deaths) add(e actor.Ended) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[e.Ref.AID]++; d.of[e.Ref.AID] == 1 {
		d.told[e.Ref.AID] <- e
	}
}

// watch returns what is told the end of an actor once.
func (d *deaths) watch(ctx context.Context, t *testing.T, who actor.Ref) <-chan actor.Ended {
	t.Helper()
	d.mu.Lock()
	if d.of == nil {
		d.of, d.told = make(map[string]int), make(map[string]chan actor.Ended)
	}
	told := make(chan actor.Ended, 1)
	d.told[who.AID] = told
	d.mu.Unlock()
	if _, err := actor.Watch(ctx, who, func(_ context.Context, e actor.Ended) { d.add(e) }); err != nil {
		t.Fatalf("watch %s: %v", who, err)
	}
	return told
}

// TestWorkersKilled: workers of a pool under load are killed with -9, one after the
// other. Each end is told once to each watcher, each call has an outcome that is its
// result or names the death, and nothing adds up: no zombie, no descriptor, no
// goroutine, and the pool has its size again.
func TestWorkersKilled(t *testing.T) {
	const size = 6
	w := newWorld(t)
	w.ctx = w.arb.Context(t.Context())
	pool, err := w.arb.Pool(w.ctx, Subject, actor.PoolArgs{Name: "web", Workers: size, Worker: actor.SpawnArgs{In: "process", Restart: &eager}})
	if err != nil {
		t.Fatal(err)
	}
	member := w.member(w.address("unix:"), Caller, actor.JoinOptions{})
	if _, err := member.Ref(w.ctx); err != nil {
		t.Fatal(err)
	}
	remote := member.Context(t.Context())
	settle := func() (running, descriptors int) {
		runtime.GC()
		return goroutines(), fds()
	}
	// The first restart makes what later ones share.
	first := w.workers("web")[0]
	_ = syscall.Kill(first.PID, syscall.SIGKILL)
	within(t, 20*time.Second, "a pool of its size without the first", func() bool {
		now := w.workers("web")
		return len(now) == size && !slices.ContainsFunc(now, func(i actor.Info) bool { return i.PID == first.PID })
	})
	within(t, 5*time.Second, "rest", func() bool { a, b := settle(); c, d := settle(); return a == c && b == d })
	before, descriptors := settle()

	local, distant := &deaths{}, &deaths{}
	calls := []*load{loaded(w.ctx, 4, double(pool)), loaded(remote, 4, double(pool))}
	var told spread
	began := time.Now()
	for n := range *kills {
		var victims []actor.Info
		within(t, 20*time.Second, "a worker that runs", func() bool { victims = w.workers("web"); return len(victims) > 0 })
		if t.Failed() {
			break
		}
		victim := victims[rand.IntN(len(victims))]
		who := actor.Ref{AID: victim.AID}
		here, there := local.watch(w.ctx, t, who), distant.watch(remote, t, who)
		at := time.Now()
		if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %d: %v", n, err)
		}
		for _, c := range []<-chan actor.Ended{here, there} {
			select {
			case e := <-c:
				if e.Cause != actor.CauseSignal || e.Signal != "killed" || e.PID != victim.PID {
					t.Errorf("kill %d of pid %d was told as %+v", n, victim.PID, e)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("kill %d of pid %d was not told", n, victim.PID)
			}
		}
		told = append(told, time.Since(at))
	}
	took := time.Since(began)
	var down int
	for n, c := range calls {
		for _, err := range c.stop(t, 30*time.Second) {
			var d *actor.DownError
			if !errors.As(err, &d) || d.Cause != actor.CauseSignal || d.Signal != "killed" || d.PID == 0 {
				t.Errorf("caller %d: a call failed otherwise than by the death of its worker: %v", n, err)
			}
			down++
		}
	}
	t.Logf("%d kills in %v; told after %s; %d calls answered, %d told of the death", len(told), took.Round(time.Millisecond), told,
		calls[0].total.Load()+calls[1].total.Load(), down)

	within(t, 20*time.Second, "a pool of its size", func() bool { return len(w.workers("web")) == size })
	within(t, 10*time.Second, fmt.Sprintf("%d goroutines and %d descriptors again", before, descriptors), func() bool {
		g, d := settle()
		return g <= before && d <= descriptors
	})
	if g, d := settle(); t.Failed() {
		t.Logf("%d goroutines, %d descriptors", g, d)
	}
	within(t, 5*time.Second, "no zombie", func() bool { return len(zombies()) == 0 })
	for _, d := range []*deaths{local, distant} {
		d.mu.Lock()
		if len(d.of) != len(told) {
			t.Errorf("%d ends of %d were told", len(d.of), len(told))
		}
		for aid, n := range d.of {
			if n != 1 {
				t.Errorf("the end of %s was told %d times", aid, n)
			}
		}
		d.mu.Unlock()
	}
}

// TestChangesUnderLoad: rolling restarts, growth and shrinking, while calls come
// without pause from both sides. None fails.
func TestChangesUnderLoad(t *testing.T) {
	w := newWorld(t)
	w.ctx = w.arb.Context(t.Context())
	pool, err := w.arb.Pool(w.ctx, Subject, actor.PoolArgs{Name: "web", Workers: 4, Worker: actor.SpawnArgs{In: "process"}})
	if err != nil {
		t.Fatal(err)
	}
	member := w.member(w.address("unix:"), Caller, actor.JoinOptions{})
	calls := []*load{loaded(w.ctx, 4, double(pool)), loaded(member.Context(t.Context()), 4, double(pool))}
	step := func(what string, do func() error) {
		t.Helper()
		before, began := calls[0].total.Load()+calls[1].total.Load(), time.Now()
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		t.Logf("%s: %v, in which %d calls were answered", what, time.Since(began).Round(time.Millisecond), calls[0].total.Load()+calls[1].total.Load()-before)
	}
	roll := func() error {
		done, err := actor.RestartActor.Call(w.ctx, actor.Arbiter, pool)
		if err == nil && len(done) == 0 {
			err = errors.New("nobody was restarted")
		}
		return err
	}
	scale := func(n int) func() error {
		return func() error {
			got, err := actor.ScalePool.Call(w.ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(n)})
			if running := len(w.workers("web")); err == nil && (got != n || running != n) {
				err = fmt.Errorf("there are %d, of which %d run", got, running)
			}
			return err
		}
	}
	step("rolling restart of 4", roll)
	step("scale to 12", scale(12))
	step("rolling restart of 12", roll)
	step("scale to 2", scale(2))
	step("rolling restart of 2", roll)
	for _, c := range calls {
		for _, err := range c.stop(t, 30*time.Second) {
			t.Errorf("a call failed: %v", err)
		}
	}
}

// Stressed is a worker that can grow.
var (
	Hoard = actor.NewCommand[int, int]("hoard") // that many bytes more; answers how many it has
	Sleep = actor.NewCommand[time.Duration, actor.None]("sleep")

	Stressed = &actor.Kind[*stressed]{
		Name: "stressed",
		New:  func(context.Context) (*stressed, error) { return &stressed{}, nil },
		Handlers: []actor.Handler[*stressed]{
			actor.Handle(Double, func(_ *stressed, _ context.Context, n int) (int, error) { return 2 * n, nil }),
			actor.Handle(Hoard, (*stressed).hoard),
			actor.Handle(Sleep, func(_ *stressed, _ context.Context, d time.Duration) (actor.None, error) {
				time.Sleep(d) // what the handler is at work on
				return actor.None{}, nil
			}),
		},
	}
)

type stressed struct{ hoarded []byte }

func (s *stressed) hoard(_ context.Context, n int) (int, error) {
	s.hoarded = append(s.hoarded, make([]byte, n)...)
	for i := 0; i < len(s.hoarded); i += 4096 {
		s.hoarded[i] = 1
	}
	return len(s.hoarded), nil
}

// TestRecycled: workers that have done enough, by each of the three measures, are
// replaced under load, and no call fails. Beside them a pool grows when messages
// wait.
func TestRecycled(t *testing.T) {
	w := newWorld(t)
	w.ctx = w.arb.Context(t.Context())
	const mib = 1 << 20
	pools := []struct {
		args actor.PoolArgs
		call func(pool actor.Ref) func(context.Context) error
		why  string // of the recycling
	}{
		{actor.PoolArgs{Name: "messages", Workers: 2, Recycle: actor.Recycle{Messages: 50}}, double, "it has handled"},
		{actor.PoolArgs{Name: "age", Workers: 2, Recycle: actor.Recycle{Age: 500 * time.Millisecond}}, double, "old"},
		{actor.PoolArgs{Name: "memory", Workers: 2, Recycle: actor.Recycle{Memory: 64 * mib}}, func(pool actor.Ref) func(context.Context) error {
			d := double(pool)
			return func(ctx context.Context) error {
				if _, err := Hoard.Call(ctx, pool, mib/8); err != nil {
					return err
				}
				<-time.After(time.Millisecond) // or it would have gigabytes by the time it is looked at
				return d(ctx)
			}
		}, "it uses"},
	}
	var calls []*load
	for _, p := range pools {
		p.args.Worker.In = "process"
		ref, err := w.arb.Pool(w.ctx, Stressed, p.args)
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, loaded(w.ctx, 2, p.call(ref)))
	}
	grows, err := w.arb.Pool(w.ctx, Stressed, actor.PoolArgs{Name: "grows", Min: 1, Max: 3, QueueAge: 20 * time.Millisecond, Worker: actor.SpawnArgs{In: "process"}})
	if err != nil {
		t.Fatal(err)
	}
	busy := loaded(w.ctx, 12, func(ctx context.Context) error {
		_, err := Sleep.Call(ctx, grows, 20*time.Millisecond)
		return err
	})

	recycled := make(map[string]int)
	seq := uint64(0)
	within(t, 30*time.Second, "each pool recycled two workers, and one grown to 3", func() bool {
		list, err := actor.Events.Call(w.ctx, actor.Arbiter, actor.EventsArgs{Since: seq})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			seq = e.Seq
			for _, p := range pools {
				if e.Type == "recycling" && strings.HasPrefix(e.Actor.Name, p.args.Name+"/") {
					recycled[p.args.Name]++
					if !strings.Contains(e.Text, p.why) {
						t.Errorf("%s was recycled since %s", e.Actor.Name, e.Text)
					}
				}
			}
			if e.Type == "scaled" {
				t.Logf("%s: %s", e.Actor.Name, e.Text)
			}
		}
		return recycled["messages"] >= 2 && recycled["age"] >= 2 && recycled["memory"] >= 2 && len(w.workers("grows")) == 3
	})
	for n, c := range append(calls, busy) {
		for _, err := range c.stop(t, 30*time.Second) {
			t.Errorf("load %d: a call failed: %v", n, err)
		}
	}
	for _, list := range []string{"messages", "age", "memory"} {
		if n := len(w.workers(list)); n < 2 {
			t.Errorf("%d workers of %s run", n, list)
		}
	}
	t.Logf("recycled: %v; %d, %d and %d calls answered", recycled, calls[0].total.Load(), calls[1].total.Load(), calls[2].total.Load())
}

// processorTime is what this process has used, and what its ended and awaited
// children had.
func processorTime() (own, children time.Duration) {
	read := func(who int) time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(who, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return read(syscall.RUSAGE_SELF), read(syscall.RUSAGE_CHILDREN)
}

// TestCrashLoop: a pool whose workers crash at once is started a bounded number of
// times, each later than the one before, and then given up, with the reason and what
// was printed last. The rest of the time costs next to nothing: see the log.
func TestCrashLoop(t *testing.T) {
	for _, test := range []struct {
		name   string
		worker actor.SpawnArgs
		kind   actor.Behaviour
		last   string
	}{
		{"a program", actor.SpawnArgs{In: "exec", Silent: true, Run: []string{"sh", "-c", "sleep 0.1; echo no such table: orders >&2; exit 3"}}, nil, "no such table: orders"},
		{"this program", actor.SpawnArgs{In: "process"}, Doomed, "no disk left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			const size = 3
			w := newWorld(t)
			own, children := processorTime()
			began := time.Now()
			pool, err := w.arb.Pool(w.ctx, test.kind, actor.PoolArgs{Name: "loop", Workers: size, Worker: test.worker})
			if err != nil {
				t.Fatal(err)
			}
			var gaveUp, starts int
			var reason string
			for seq := uint64(0); gaveUp == 0; {
				list, err := actor.Events.Call(w.ctx, actor.Arbiter, actor.EventsArgs{Since: seq, Wait: 10 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range list {
					seq = e.Seq
					switch {
					case e.Type == "gave_up":
						gaveUp, reason = gaveUp+1, e.Text
					case e.Type == "spawned" && strings.HasPrefix(e.Actor.Name, "loop/"):
						starts++
					}
				}
			}
			took := time.Since(began)
			ownAfter, childrenAfter := processorTime()
			share := func(d time.Duration) float64 { return 100 * float64(d) / float64(took) }
			t.Logf("%d starts in %v, and given up: %s", starts, took.Round(time.Millisecond), reason)
			t.Logf("of a processor: the arbiter (and this test) %.2f %%, what it started %.2f %%", share(ownAfter-own), share(childrenAfter-children))
			// One that has failed is started on until all others have, too. So no more starts
			// are certain than there are waits in this time, each twice as long as the one before.
			most := 1
			for wait, sum := supervise.DefaultMinBackoff*4/5, time.Duration(0); sum+wait <= took; wait *= 2 {
				sum += wait
				most++
			}
			if starts > size*max(most, supervise.DefaultMaxCrashes) || starts < supervise.DefaultMaxCrashes {
				t.Errorf("%d starts of %d workers", starts, size)
			}
			if !strings.Contains(reason, "5 crashes within 1m") {
				t.Errorf("given up since %q", reason)
			}
			var down *actor.DownError
			eventually(t, "those that were left have ended", func() bool { // which the event does not wait for
				_, err = Double.Call(w.ctx, pool, 1)
				return errors.As(err, &down) && slices.Contains(down.Stderr, test.last)
			})
			if !strings.Contains(err.Error(), reason) {
				t.Errorf("a call to it: %v (%+v)", err, down)
			}
			if !strings.Contains(w.log.String(), test.last) {
				t.Errorf("the log does not say %q", test.last)
			}
			if pong, err := actor.Ping.Call(w.ctx, pool, actor.None{}); pong != "pong" || err != nil {
				t.Errorf("the pool itself: %q, %v", pong, err)
			}
		})
	}
}

// Doomed is ready, and crashes a little later.
var Doomed = &actor.Kind[actor.None]{Name: "doomed", Started: func(actor.None, context.Context) error {
	go func() { // it ends with the process
		fmt.Fprintln(os.Stderr, "no disk left")
		<-time.After(100 * time.Millisecond)
		os.Exit(3)
	}()
	return nil
}}

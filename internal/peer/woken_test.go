package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// sleeper is a Caller of calls that somebody sleeps for.
type sleeper struct {
	woken *Woken
	told  int // how many were woken as some of many
	then  func()
}

func (s *sleeper) Result(uint64, *wire.Message) {
	if s.woken.Wakes() {
		s.told++
	}
	if s.then != nil {
		s.then()
	}
}

func (s *sleeper) Failed(uint64, *wire.Error) {}

// sleepers returns an end with n calls in flight that somebody sleeps for, and answer, which has the far
// end answer the next so many of them in one write. Nothing else is to be read by p.
func sleepers(t *testing.T, n int) (e *end, p *peerOf, s *sleeper, answer func(n int)) {
	e, p = byHand(t, Options{}, DefaultWindow)
	s = &sleeper{woken: e.Woken()}
	var ids []uint64
	for range n {
		id, err := e.Request(request("ask", 0), Note{Caller: s}, Charge{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	e.Flush()
	for range n {
		p.next()
	}
	answer = func(n int) {
		var all []*wire.Message
		for _, id := range ids[:n] {
			all = append(all, &wire.Message{Kind: wire.KindReply, ID: id})
		}
		ids = ids[n:]
		p.all(all...)
		synctest.Wait()
	}
	return e, p, s, answer
}

// again posts what one that was woken posts, which is to be written now.
func again(t *testing.T, e *end, size int) {
	t.Helper()
	if err := e.PostNow(oneWay("again", size), Now); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// unwritten returns how many messages wait to be written.
func (e *end) unwritten() uint64 {
	placed, written := e.Progress()
	return placed - written
}

// What those post who were woken by one run goes in one write, behind the last of them.
func TestLastWokenFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, s, answer := sleepers(t, 10)
		answer(10)
		if s.told != 10 {
			t.Fatalf("%d are to say that they run, of 10", s.told)
		}
		before := e.Stats().Flushes
		for range 9 {
			e.Woken().Awake()
			again(t, e, 10)
		}
		if n := e.Stats().Flushes - before; n != 0 || e.unwritten() != 9 {
			t.Errorf("%d flushes before the last has run, and %d wait; want 0 and 9", n, e.unwritten())
		}
		e.Woken().Awake()
		synctest.Wait()
		if n := e.Stats().Flushes - before; n != 1 || e.unwritten() != 0 {
			t.Errorf("%d flushes, and %d wait, behind the last; want 1 and 0", n, e.unwritten())
		}
		again(t, e, 10)
		for range 10 {
			if l := p.next(); l.command != "again" {
				t.Errorf("got %v", l)
			}
		}
	})
}

// Where those who were woken take their time it is written at the end of the next run.
func TestWokenAreNotWaitedForTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _, answer := sleepers(t, 8)
		answer(4)
		again(t, e, 10)
		answer(2)
		if n := e.unwritten(); n != 1 {
			t.Errorf("%d wait after a run, want 1", n)
		}
		answer(2)
		if n := e.unwritten(); n != 0 {
			t.Errorf("%d wait after two runs, want 0", n)
		}
		again(t, e, 10)
		if n := e.unwritten(); n != 1 {
			t.Errorf("%d wait, while 8 were not heard of", n)
		}
		e.Flush() // whoever means it is not told to wait
		if n := e.unwritten(); n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// What is enough is written at once.
func TestWokenHaveEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _, answer := sleepers(t, 4)
		answer(4)
		again(t, e, gathered/2)
		if n := e.unwritten(); n != 1 {
			t.Errorf("%d wait, want 1", n)
		}
		again(t, e, gathered/2)
		if n := e.unwritten(); n != 0 {
			t.Errorf("%d wait, want 0", n)
		}
	})
}

// Those who run before the run is over leave it to the reader; who was woken alone, or by something
// else, is not counted.
func TestWokenDuringTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, s, answer := sleepers(t, 5)
		s.then = func() {
			if s.told > 0 {
				e.Woken().Awake()
				if err := e.PostNow(oneWay("again", 10), Now); err != nil {
					t.Error(err)
				}
			}
		}
		before := e.Stats().Flushes
		answer(4)
		if n := e.Stats().Flushes - before; n != 1 || e.unwritten() != 0 {
			t.Errorf("%d flushes, and %d wait; want 1 and 0", n, e.unwritten())
		}
		s.then, s.told = nil, 0
		answer(1)
		again(t, e, 10)
		if s.told != 0 || e.unwritten() != 0 {
			t.Errorf("one that was answered alone: %d are to say that they run, %d wait", s.told, e.unwritten())
		}
		if e.Woken().Wakes() {
			t.Error("one that nothing was read for is counted")
		}
	})
}

// What may take a while is not waited for, whoever was woken.
func TestWokenAndAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, s, _ := sleepers(t, 2)
		wait := make(chan struct{})
		e.on = func(*Conn, *wire.Message) { <-wait }
		s.then = func() {
			if err := e.PostNow(oneWay("again", 10), Now); err != nil {
				t.Error(err)
			}
		}
		var all []*wire.Message
		e.Calls().Each(func(id uint64, _ Note) { all = append(all, &wire.Message{Kind: wire.KindReply, ID: id}) })
		p.all(append(all, &wire.Message{Kind: wire.KindNotify})...)
		synctest.Wait()
		if n := e.unwritten(); n != 0 {
			t.Errorf("%d wait for what the Handler is at", n)
		}
		close(wait)
	})
}

// leastDoubt is for how many runs those who ran late are not relied on at first.
const leastDoubt = 64

// Where those who were woken run late nothing is left to them for a while.
func TestWokenLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, s, answer := sleepers(t, 2*leastDoubt+6)
		answer(2)
		e.Woken().Awake()
		time.Sleep(2 * tardy)
		e.Woken().Awake()
		s.told = 0
		for range leastDoubt {
			answer(2)
			again(t, e, 10)
			if s.told != 0 || e.unwritten() != 0 {
				t.Fatalf("%d are to say that they run, %d wait", s.told, e.unwritten())
			}
		}
		answer(2)
		if s.told != 2 {
			t.Errorf("%d are to say that they run, want 2, once it is over", s.told)
		}
	})
}

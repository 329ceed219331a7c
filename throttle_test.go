package arbiter_test

import (
	"context"
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/faultproxy"
)

var stops = flag.Int("stops", 2, "rounds of each row of TestStopBehindLargeMessages; 100 is the whole of it")

// Bulk is a message that is only large, and Fetch has such an answer. Hold has a handler
// that ends when nobody waits for it any more.
var (
	Bulk  = actor.NewCommand[[]byte, actor.None]("bulk", actor.NoAck())
	Fetch = actor.NewCommand[int, []byte]("fetch")
	Hold  = actor.NewCommand[actor.None, actor.None]("hold")
	Bulky = &actor.Kind[actor.None]{Name: "bulky", Mode: actor.Concurrent(8), Handlers: []actor.Handler[actor.None]{
		actor.On(Bulk, func(actor.None, context.Context, []byte) error { return nil }),
		actor.Handle(Fetch, func(_ actor.None, _ context.Context, n int) ([]byte, error) { return make([]byte, n), nil }),
	}}
)

// holder is an actor that says when a Hold begins and when it ends.
func holder() (kind *actor.Kind[actor.None], began, ended chan time.Time) {
	began, ended = make(chan time.Time, 1), make(chan time.Time, 1)
	return &actor.Kind[actor.None]{Name: "holder", Handlers: []actor.Handler[actor.None]{
		actor.Handle(Hold, func(_ actor.None, ctx context.Context, _ actor.None) (actor.None, error) {
			began <- time.Now()
			<-ctx.Done()
			ended <- time.Now()
			return actor.None{}, ctx.Err()
		}),
	}}, began, ended
}

// TestStopBehindLargeMessages: how long control takes over a slow road on which messages
// of up to 16 MiB are under way in the same direction: until an actor at its other end
// has been stopped, behind messages or behind answers, and until the handler of a call
// that it gives up is told. Row 14 has the bound.
//
// go test . -run TestStopBehindLargeMessages -stops 100 -v
func TestStopBehindLargeMessages(t *testing.T) {
	const bound = 250 * time.Millisecond
	const most = 16<<20 - 1024
	for _, row := range []struct {
		name string
		size int
		rate int // bytes a second
		way  faultproxy.Way
		take func(s *slowRoad) time.Duration
	}{
		{"a stop behind 4 MiB at 64 MiB/s", 4 << 20, 64 << 20, faultproxy.Down, (*slowRoad).stop},
		{"a stop behind 16 MiB at 64 MiB/s", most, 64 << 20, faultproxy.Down, (*slowRoad).stop},
		{"a stop behind 16 MiB at 16 MiB/s", most, 16 << 20, faultproxy.Down, (*slowRoad).stop},
		{"a stop behind answers of 16 MiB at 64 MiB/s", most, 64 << 20, faultproxy.Down, (*slowRoad).stopBehindAnswers},
		{"a cancel behind 16 MiB at 64 MiB/s, from afar", most, 64 << 20, faultproxy.Up, (*slowRoad).cancel},
		{"a cancel behind 16 MiB at 16 MiB/s, from afar", most, 16 << 20, faultproxy.Up, (*slowRoad).cancel},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithTimeout(w.arb.Context(context.Background()), 10*time.Minute)
			defer cancel()
			w.ctx = ctx // for as long as it takes
			roads := faultproxy.Roads{}
			if row.way == faultproxy.Down {
				roads.Down.Rate = row.rate
			} else {
				roads.Up.Rate = row.rate
			}
			s := &slowRoad{t: t, w: w, ctx: ctx, p: w.road("tcp:", roads), size: row.size, way: row.way, near: w.spawn(Bulky)}
			var kind *actor.Kind[actor.None]
			kind, s.began, s.ended = holder()
			s.holder = w.spawn(kind)
			var took []time.Duration
			for n := range *stops {
				// It comes at another place of the first message each time.
				s.at = int64(row.size) * int64(1+n%8) / 10
				took = append(took, row.take(s))
			}
			slices.Sort(took)
			p50, p99, last := took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
			whole := time.Duration(row.size) * time.Second / time.Duration(row.rate)
			t.Logf("%d times: p50 %v, p99 %v, at most %v, and the bound is %v; one message takes %v", len(took), p50.Round(time.Millisecond),
				p99.Round(time.Millisecond), last.Round(time.Millisecond), bound, whole.Round(time.Millisecond))
			// A busy machine makes some of them late, but not each; who asks for many has a
			// quiet one.
			if took[0] > bound || len(took) >= 20 && p99 > bound {
				t.Errorf("%v to %v, and the bound is %v", took[0], last, bound)
			}
		})
	}
}

// slowRoad is a world with a road on which large messages go one way.
type slowRoad struct {
	t            *testing.T
	w            *world
	ctx          context.Context // of an actor of the arbiter's
	p            *faultproxy.Proxy
	near         actor.Ref // a Bulky at the arbiter
	holder       actor.Ref
	began, ended chan time.Time // a Hold of that
	size         int
	way          faultproxy.Way
	at           int64 // how many bytes are to have passed before control is sent
}

// while has large messages under way, by send, until it fails or done is called.
func (s *slowRoad) while(link *faultproxy.Link, send func() error) (done func()) {
	before := link.Passed(s.way)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range 3 {
			if send() != nil {
				return
			}
		}
	}()
	eventually(s.t, "the message is under way", func() bool { return link.Passed(s.way)-before > s.at })
	return func() { <-sent }
}

// halt stops who, and returns how long that took.
func (s *slowRoad) halt(who actor.Ref) time.Duration {
	began := time.Now()
	d, err := actor.StopActor.Call(s.ctx, actor.Arbiter, who)
	if err != nil || d.Cause != actor.CauseStopped {
		s.t.Fatalf("%+v, %v", d, err)
	}
	return time.Since(began)
}

func (s *slowRoad) stop() time.Duration {
	_, ref, link := s.w.traveller(s.p, Bulky)
	body := make([]byte, s.size)
	done := s.while(link, func() error { return Bulk.Send(s.ctx, ref, body) })
	defer done()
	return s.halt(ref)
}

func (s *slowRoad) stopBehindAnswers() time.Duration {
	m, ref, link := s.w.traveller(s.p, Bulky)
	done := s.while(link, func() error {
		_, err := Fetch.Call(m.Context(s.ctx), s.near, s.size)
		return err
	})
	defer done()
	return s.halt(ref)
}

func (s *slowRoad) cancel() time.Duration {
	m, _, link := s.w.traveller(s.p, Bulky)
	defer m.Close()
	ctx := m.Context(s.ctx)
	call := Hold.Start(ctx, s.holder, actor.None{})
	<-s.began
	body := make([]byte, s.size)
	done := s.while(link, func() error { return Bulk.Send(ctx, s.near, body) })
	at := time.Now()
	call.Cancel()
	took := (<-s.ended).Sub(at)
	link.Do(s.way, faultproxy.Reset) // what is under way would take a while
	done()
	return took
}

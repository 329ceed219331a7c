package arbiter

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// gated is a transport whose TryWrite waits while there is a gate.
type gated struct {
	*peer.PipeEnd
	gate *atomic.Pointer[chan struct{}]
}

func (g gated) TryWrite(b []byte) (int, error) {
	if gate := g.gate.Load(); gate != nil {
		<-*gate
	}
	return g.PipeEnd.TryWrite(b)
}

// listener notes what it is told.
type listener struct{ told chan wire.Kind }

func (l *listener) Receive(_ *peer.Conn, m *wire.Message) { l.told <- m.Kind }
func (l *listener) Dry(*peer.Conn)                        {}
func (l *listener) Beat(*peer.Conn)                       {}
func (l *listener) Result(uint64, *wire.Message)          {}
func (l *listener) Failed(uint64, *wire.Error)            {}

// TestKilledWhileAnswered: who is killed is told so although somebody is writing to it, and
// an answer for it comes before that is done.
func TestKilledWhileAnswered(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ask := actor.NewCommand[actor.None, actor.None]("ask")
		answer := make(chan struct{})
		slow, err := arb.Spawn(arb.Context(context.Background()), &actor.Kind[actor.None]{Name: "slow", Handlers: []actor.Handler[actor.None]{
			actor.Handle(ask, func(actor.None, context.Context, actor.None) (actor.None, error) {
				<-answer
				return actor.None{}, nil
			}),
		}})
		if err != nil {
			t.Fatal(err)
		}

		var gate atomic.Pointer[chan struct{}]
		ours, ended := accepted(arb, func(p *peer.PipeEnd) peer.Transport { return gated{p, &gate} })
		c := peer.New(ours, peer.Options{})
		w, err := c.Hello(t.Context(), &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "test", Inbox: peer.DefaultWindow})
		if err != nil {
			t.Fatal(err)
		}
		l, ran := &listener{make(chan wire.Kind, 100)}, make(chan struct{})
		go func() { defer close(ran); _ = c.Run(l) }()
		if err := c.Post(peer.Control, &wire.Message{Kind: wire.KindNotify}, peer.Charge{}); err != nil {
			t.Fatal(err)
		}
		m := wire.Message{Kind: wire.KindRequest, Target: []byte(slow.AID), Command: []byte("ask"), Millis: 60_000}
		if _, err := c.Request(&m, peer.Note{Caller: l, ID: 1, Deadline: time.Now().Add(time.Minute)}, peer.Charge{}); err != nil {
			t.Fatal(err)
		}
		c.Flush()
		synctest.Wait()

		shut := make(chan struct{})
		gate.Store(&shut)
		killed := arb.registry.get(w.AID)
		killed.session.post(peer.Control, &wire.Message{Kind: wire.KindNotify})
		go killed.session.conn.Flush()
		synctest.Wait()
		killed.kill(&wire.Death{Cause: wire.CauseKilled})
		close(answer)
		synctest.Wait()
		close(shut)
		<-ran
		ended()
		close(l.told)
		last := wire.Kind(0)
		for last = range l.told {
		}
		if last != wire.KindGoodbye {
			t.Errorf("the last it was told is a %v, want a goodbye", last)
		}
	})
}

package arbiter

import (
	"context"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// slowly carries what is written to from, so many bytes a second.
func slowly(from, to *peer.PipeEnd, rate int) {
	b := make([]byte, rate/10)
	for {
		n, err := from.Read(b)
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		if _, failed := to.Write(b[:n]); failed != nil {
			_ = from.Close()
			return
		}
		if err != nil {
			_ = to.CloseWrite()
			return
		}
	}
}

// TestLastAnswer: an actor that is asked to stop finishes what it has, and that includes the answer to it,
// over a line that needs some seconds for it.
func TestLastAnswer(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		far, ended := accepted(arb, plain)
		workers, relay := peer.Pipe()
		go slowly(relay, far, 256<<10)
		go slowly(far, relay, 256<<10)
		fetch := actor.NewCommand[actor.None, []byte]("fetch")
		began := make(chan struct{})
		kind := &actor.Kind[struct{}]{Name: "worker", Handlers: []actor.Handler[struct{}]{
			actor.Handle(fetch, func(struct{}, context.Context, actor.None) ([]byte, error) {
				close(began)
				time.Sleep(time.Second)
				return make([]byte, 1<<20), nil
			}),
		}}
		m := actor.NewMember("", kind, actor.JoinOptions{Logger: quiet}.Over(workers))
		ref, err := m.Ref(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := fetch.Start(arb.Context(t.Context()), ref, actor.None{})
		<-began
		i := arb.registry.get(ref.AID)
		i.stop("enough")
		if b, err := p.Wait(); err != nil || len(b) != 1<<20 {
			t.Errorf("its handler returned, and the answer is %d bytes, %v", len(b), err)
		}
		<-m.Done()
		ended()
		if d := i.howEnded(); d.Cause != "stopped" || d.Reason != "enough" {
			t.Errorf("it %s", d)
		}
	})
}

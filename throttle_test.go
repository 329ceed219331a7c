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

var stops = flag.Int("stops", 2, "stops of each row of TestStopBehindLargeMessages; 100 is the whole of it")

// Bulk is a message that is only large.
var (
	Bulk  = actor.NewCommand[[]byte, actor.None]("bulk", actor.NoAck())
	Bulky = &actor.Kind[actor.None]{Name: "bulky", Handlers: []actor.Handler[actor.None]{
		actor.On(Bulk, func(actor.None, context.Context, []byte) error { return nil }),
	}}
)

// TestStopBehindLargeMessages: how long it takes to stop an actor at the other end of a
// slow road, on which large messages are under way to it. The bound of row 14 is 250 ms
// of p99. What is queued never counts, only the message that is being written: where
// that one alone takes longer the bound is missed, and the figures say by how much.
//
// go test . -run TestStopBehindLargeMessages -stops 100 -v
func TestStopBehindLargeMessages(t *testing.T) {
	const bound = 250 * time.Millisecond
	for _, row := range []struct {
		name string
		size int
		rate int // bytes a second
	}{
		{"4 MiB at 64 MiB/s", 4 << 20, 64 << 20},
		{"16 MiB at 64 MiB/s", 16<<20 - 1024, 64 << 20},
		{"16 MiB at 16 MiB/s", 16<<20 - 1024, 16 << 20},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithTimeout(w.arb.Context(context.Background()), 10*time.Minute)
			defer cancel()
			p := w.road("tcp:", faultproxy.Roads{Down: faultproxy.Road{Rate: row.rate}})
			body := make([]byte, row.size)
			whole := time.Duration(row.size) * time.Second / time.Duration(row.rate)
			var took []time.Duration
			for n := range *stops {
				_, ref, link := w.traveller(p, Bulky)
				before := link.Passed(faultproxy.Down)
				sends := make(chan struct{})
				go func() { // each waits for the one before it, until the actor has ended
					defer close(sends)
					for range 3 {
						if Bulk.Send(ctx, ref, body) != nil {
							return
						}
					}
				}()
				// The stop comes at another place of the first message each time.
				at := int64(row.size) * int64(1+n%8) / 10
				eventually(t, "the message is under way", func() bool { return link.Passed(faultproxy.Down)-before > at })
				began := time.Now()
				d, err := actor.StopActor.Call(ctx, actor.Arbiter, ref)
				if err != nil || d.Cause != actor.CauseStopped {
					t.Fatalf("%+v, %v", d, err)
				}
				took = append(took, time.Since(began))
				<-sends
			}
			slices.Sort(took)
			p99 := took[len(took)*99/100]
			verdict := "within the bound"
			if p99 > bound {
				verdict = "over the bound"
			}
			t.Logf("%d stops: median %v, p99 %v, %s of %v; one message takes %v", len(took), took[len(took)/2].Round(time.Millisecond),
				p99.Round(time.Millisecond), verdict, bound, whole.Round(time.Millisecond))
			if p99 > whole+slack {
				t.Errorf("a stop took %v, and only one message of %v was before it", p99, whole)
			}
		})
	}
}

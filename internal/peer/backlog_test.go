package peer

import (
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// One that floods itself and reads nothing is cut off when it cannot be told to stop any
// more, though that gives back what its own backlog counts.
func TestBacklogOfOneself(t *testing.T) {
	h := hello(wire.Window{Messages: 100, Bytes: 1 << 20})
	h.Features = wire.FeatureXoff
	e, _ := byHandAs(t, Options{Outbox: Limits{Control: 50}, Window: wire.Window{Messages: 100, Bytes: 100_000}}, h,
		func(p *PipeEnd) Transport { return p })
	e.pipe.Stall(true)
	mustPost(t, e.Conn, Control, &wire.Message{Kind: wire.KindStop, Body: make([]byte, 50)})
	b := &Backlog{From: e.Conn, Target: "itself"}
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		// The first is charged, and gives so much back that it could go on.
		for _, cost := range []int{15_000, 5_000} {
			e.room.receive(cost)
			ch := b.Take(Charge{From: e.Conn, Cost: cost}, false)
			_ = e.Post(Data, oneWay("m", 10), ch)
		}
	}()
	select {
	case <-cut:
	case <-time.After(30 * time.Second):
		t.Fatal("it is not cut off: it waits for itself")
	}
	if err := e.why(); err != ErrFull {
		t.Errorf("it ended with %v, want %v", err, ErrFull)
	}
	if messages, bytes := e.Charged(); messages != 0 || bytes != 0 {
		t.Errorf("%d messages, %d bytes are charged to it still", messages, bytes)
	}
	if n, all := b.all.load().messages(), b.all.load().bytes(); n != 0 || all != 0 {
		t.Errorf("%d messages, %d bytes are in its backlog still", n, all)
	}
}

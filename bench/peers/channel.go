package peers

import (
	"context"
	"sync"

	"github.com/arbiter-go/arbiter/bench/load"
)

// channelLocal is a goroutine that receives from a Go channel: the limit of what
// goroutine actors can do. It has no errors, deadlines or bounds but the
// channel's, and looks at no context.
type channelLocal struct{}

// The room of the channels. A busy actor gets what a tell needs to batch, a
// resting one what is usual for an inbox.
const (
	channelBusy = 1024
	channelRest = 16
)

func (channelLocal) Info() load.Info {
	return load.Info{Name: "channel", Socket: "process", Ideal: true, About: "a goroutine and a Go channel"}
}

// channelMessage is an ask if reply is set.
type channelMessage struct {
	v     int64
	reply chan int64
}

func (channelLocal) Start(context.Context) (load.LocalActor, error) {
	a := &channelActor{in: make(chan channelMessage, channelBusy)}
	a.ended.Go(a.run)
	return a, nil
}

func (channelLocal) Spawn(_ context.Context, n int) (func(), error) {
	ended := new(sync.WaitGroup)
	ins := make([]chan channelMessage, n)
	for i := range ins {
		a := &channelActor{in: make(chan channelMessage, channelRest)}
		ins[i] = a.in
		ended.Add(1)
		go func() {
			defer ended.Done()
			a.run()
		}()
	}
	return func() {
		for _, in := range ins {
			close(in)
		}
		ended.Wait()
	}, nil
}

type channelActor struct {
	in    chan channelMessage
	ended sync.WaitGroup
	told  int64 // the actor's own
}

// toldAsk is the ask whose reply is the count of what the actor was told.
const toldAsk = -1

func (a *channelActor) run() {
	for m := range a.in {
		switch {
		case m.reply == nil:
			a.told++
		case m.v == toldAsk:
			m.reply <- a.told
		default:
			m.reply <- m.v
		}
	}
}

func (a *channelActor) Asker() func(context.Context, int64) (int64, error) {
	reply := make(chan int64, 1)
	return func(_ context.Context, v int64) (int64, error) {
		a.in <- channelMessage{v, reply}
		return <-reply, nil
	}
}

func (a *channelActor) Tell(_ context.Context, v int64) error {
	a.in <- channelMessage{v: v}
	return nil
}

func (a *channelActor) Told(ctx context.Context) (int64, error) {
	return a.Asker()(ctx, toldAsk)
}

func (a *channelActor) Stop() {
	close(a.in)
	a.ended.Wait()
}

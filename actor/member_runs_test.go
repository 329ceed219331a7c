package actor

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// A member says that it grants what it can count.
func TestMemberWindow(t *testing.T) {
	f := newFeed(wire.Window{Messages: 1 << 60, Bytes: 1 << 60})
	joinFeed(t, f, &Kind[None]{Name: "bench", Inbox: Limits{Messages: math.MaxInt, Bytes: math.MaxInt}})
	f.mu.Lock()
	defer f.mu.Unlock()
	if want := (wire.Window{Messages: 1 << 22, Bytes: min(1<<38, math.MaxInt)}); f.room != want {
		t.Errorf("it grants %v, want %v", f.room, want)
	}
}

// What comes in runs gives its room back, whether it is handled or not known, in actors of each
// kind and with inboxes of any size.
func TestRunsGiveRoomBack(t *testing.T) {
	const n = 3000
	for _, command := range []string{"told", "unknown", "ping"} {
		for _, mode := range []Mode{Serial, Interleaved, Concurrent(2)} {
			for _, messages := range []int{2, 7, 64, 8192} {
				t.Run(fmt.Sprint(command, mode, messages), func(t *testing.T) {
					t.Parallel() // most of it is waiting for the ends of connections
					told := make(chan struct{}, n)
					kind := &Kind[None]{Name: "bench", Mode: mode, Inbox: Limits{Messages: messages}, Handlers: []Handler[None]{
						On(benchTold, func(None, context.Context, []byte) error {
							told <- struct{}{}
							return nil
						}),
					}}
					f := newFeed(wire.Window{Messages: 1 << 60, Bytes: 1 << 60})
					joinFeed(t, f, kind)
					body, err := wire.Encode(wire.CodecCBOR, nil, benchBody)
					if err != nil {
						t.Fatal(err)
					}
					f.send(&wire.Message{
						Kind: wire.KindRequest, Flags: wire.FlagOneWay, Codec: wire.CodecCBOR,
						Target: []byte("bench-echo"), Sender: []byte("somebody"), Command: []byte(command), Body: body,
					}, n)
					select {
					case <-f.sent:
					case <-time.After(20 * time.Second):
						t.Fatalf("%s, %v, %d: some of %d have no room", command, mode, messages, n)
					}
					for i := 0; command == "told" && i < n; i++ {
						select {
						case <-told:
						case <-time.After(20 * time.Second):
							t.Fatalf("%v, %d: only %d of %d were handled", mode, messages, i, n)
						}
					}
				})
			}
		}
	}
}

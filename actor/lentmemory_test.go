//go:build !race

package actor_test

import (
	"bytes"
	"context"
	"runtime"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// The memory of what was lent, as an argument or as a result, is used again: many large messages
// take less than they would each on its own. Under the race detector pools forget on purpose some
// of what they were given.
func TestLentTakesNoMemory(t *testing.T) {
	const size, messages = 64 << 10, 200
	put, page := actor.NewCommand[[]byte, int]("put"), actor.NewCommand[none, []byte]("page")
	whole := bytes.Repeat([]byte{7}, size)
	kind := func(name string, options ...actor.HandlerOption) *actor.Kind[none] {
		return &actor.Kind[none]{Name: name, Handlers: []actor.Handler[none]{
			actor.Handle(put, func(_ none, _ context.Context, b []byte) (int, error) { return len(b), nil }, options...),
			actor.Handle(page, func(none, context.Context, none) ([]byte, error) { return whole, nil }),
		}}
	}
	everywhere(t, func(w *world) {
		if w.place == "goroutine" && w.ctx == w.Context() {
			return // what is handed over within a process takes none in any case
		}
		keeper, borrower := w.put(kind("keeper")), w.put(kind("borrower", actor.Lent()))
		takes := func(call func() error) uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range messages {
				if err := call(); err != nil {
					w.t.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		puts := func(to actor.Ref) func() error {
			return func() error { _, err := put.Call(w.ctx, to, whole); return err }
		}
		for what, ways := range map[string][2]func() error{ // kept, and lent
			"arguments": {puts(keeper), puts(borrower)},
			"results": {
				func() error { _, err := page.Call(w.ctx, keeper, none{}); return err },
				func() error {
					return page.CallLent(w.ctx, keeper, none{}, func([]byte) error { return nil })
				},
			},
		} {
			kept, lent := takes(ways[0]), takes(ways[1])
			if kept < messages*size || kept-min(kept, lent) < messages*size/2 {
				w.t.Errorf("%d %s of %d bytes take %d bytes, and %d where they are lent", messages, what, size, kept, lent)
			}
		}
	})
}

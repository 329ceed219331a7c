//go:build linux

package arbiter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// Bomber asks for that many actors at once, again for each that it gets, and says
// what became of it.
var (
	Bomb   = actor.NewCommand[int, Blast]("bomb")
	Bomber = &actor.Kind[actor.None]{Name: "bomber", Handlers: []actor.Handler[actor.None]{actor.Handle(Bomb, bomb)}}
)

// Blast is what became of the requests of a spawn bomb.
type Blast struct {
	Spawned, Refused, Other int
	Full                    int            // how often the arbiter's inbox was full, and it asked again
	Reasons                 map[string]int // why they were refused: the quota
	Odd                     string         // another error, if there was one
}

// maxFull is how often a bomber asks again because an inbox was full: once for each of
// its requests, on the average.
const maxFull = 10_000

func bomb(_ actor.None, ctx context.Context, n int) (Blast, error) {
	var b Blast
	b.Reasons = make(map[string]int)
	all := make([]*actor.Pending[actor.Ref], n)
	ask := func(i int) {
		all[i] = actor.SpawnActor.Start(ctx, actor.Arbiter, actor.SpawnArgs{Kind: "subject"})
	}
	for i := range all {
		ask(i)
	}
	for i := range all {
		_, err := all[i].Wait()
		for errors.Is(err, actor.ErrOverloaded) && b.Full < maxFull {
			b.Full++
			ask(i)
			_, err = all[i].Wait()
		}
		switch {
		case err == nil:
			b.Spawned++
		case errors.Is(err, actor.ErrRefused) && strings.Contains(err.Error(), "the quota is used up"):
			_, quota, _ := strings.Cut(err.Error(), "(Quotas.")
			quota, _, _ = strings.Cut(quota, ")")
			b.Refused++
			b.Reasons[quota]++
		default:
			b.Other++
			b.Odd = err.Error()
		}
	}
	return b, nil
}

// TestSpawnBomb: one actor asks for 10,000 others at once. It gets as many as the
// quota allows, each further request is refused with the quota's name, and others
// are answered all the while: how fast, see the log. Where the requests come faster than
// the arbiter's inbox has room for, they are refused as overloaded, and are made again.
func TestSpawnBomb(t *testing.T) {
	const requests = 10_000
	for _, in := range []string{"goroutine", "process"} {
		t.Run(in, func(t *testing.T) {
			w := newWorld(t)
			place := func(a *actor.SpawnArgs) { a.In = in }
			bomber := w.spawn(Bomber, place)
			other := w.spawn(Subject, actor.Process())
			// ping measures until over is closed.
			ping := func(over <-chan struct{}) (took spread) {
				for {
					select {
					case <-over:
						return took
					default:
					}
					began := time.Now()
					if _, err := Double.Call(w.ctx, other, 1); err != nil {
						t.Errorf("somebody else's call: %v", err)
						return took
					}
					took = append(took, time.Since(began))
				}
			}
			second := func() <-chan struct{} {
				over := make(chan struct{})
				time.AfterFunc(time.Second, func() { close(over) })
				return over
			}
			before := ping(second())

			var blast Blast
			var failed error
			var took time.Duration
			burst, done := make(chan struct{}), make(chan struct{})
			rest := second()
			began := time.Now()
			result := Bomb.Start(w.ctx, bomber, requests)
			go func() {
				defer close(done)
				blast, failed = result.Wait()
				took = time.Since(began)
				close(burst)
			}()
			during := ping(burst)
			<-done
			whole := append(during[:len(during):len(during)], ping(rest)...)
			if failed != nil {
				t.Fatal(failed)
			}
			t.Logf("%d requests in %v: %d spawned, refused by %v; %d found its inbox full, and were made again", requests, took.Round(time.Millisecond), blast.Spawned, blast.Reasons, blast.Full)
			t.Logf("somebody else's calls, the second before: %s; the second of the bomb: %s (p99 × %.1f); until it was over: %s",
				before, whole, float64(whole.at(0.99))/float64(max(before.at(0.99), 1)), during)
			// The allowance of a second, and what of it comes back meanwhile.
			most := 1000 + int(took.Seconds()*1000) + 1
			if blast.Spawned > most || blast.Spawned < 1000 {
				t.Errorf("%d were spawned, of 1,000 a second", blast.Spawned)
			}
			if blast.Refused != requests-blast.Spawned || blast.Other != 0 || blast.Reasons["PerSecond"] != blast.Refused {
				t.Errorf("%+v", blast)
			}
			if worst := during.at(1); worst > 5*time.Second {
				t.Errorf("somebody else waited %v", worst)
			}
		})
	}
}

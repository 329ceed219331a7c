package actor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

type none = actor.None

// world is an arbiter in virtual time, a place to put actors and somebody who
// calls them.
type world struct {
	*arbitertest.Arbiter
	t     *testing.T
	ctx   context.Context
	place string
}

// everywhere runs f for actors in goroutines and for those that joined over a
// connection, called by the arbiter and over another connection: all a message can
// cross.
func everywhere(t *testing.T, f func(w *world)) {
	t.Helper()
	for _, place := range []string{"goroutine", "joined"} {
		for _, from := range []string{"arbiter", "member"} {
			t.Run(place+" from "+from, func(t *testing.T) {
				arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
					w := &world{Arbiter: a, t: t, ctx: a.Context(), place: place}
					if from == "member" {
						m := a.Join(&actor.Kind[none]{Name: "caller"}, actor.JoinOptions{})
						w.ctx = m.Context(context.Background())
					}
					f(w)
				})
			})
		}
	}
}

// put makes an actor of kind in the world's place.
func (w *world) put(kind actor.Behaviour) actor.Ref {
	w.t.Helper()
	if w.place == "goroutine" {
		return w.Spawn(kind)
	}
	ref, err := w.Join(kind, actor.JoinOptions{}).Ref(w.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait() // one that joins has its Ref before it is ready
	return ref
}

// within returns w's context with a deadline.
func (w *world) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.ctx, d)
	w.t.Cleanup(cancel)
	return ctx
}

// want fails the test unless err has the code of sentinel, that much is known of
// the handler, and its text has every one of texts.
func want(t *testing.T, what string, err error, sentinel *actor.Error, started actor.Started, texts ...string) {
	t.Helper()
	var e *actor.Error
	if !errors.Is(err, sentinel) || !errors.As(err, &e) {
		t.Errorf("%s: %v, want %s", what, err, sentinel.Code)
		return
	}
	if e.Started != started {
		t.Errorf("%s: of the handler is known %d, want %d (%v)", what, e.Started, started, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", what, err, text)
		}
	}
}

// wantDown fails the test unless err says that the target ended for that cause.
func wantDown(t *testing.T, what string, err error, cause actor.Cause, texts ...string) {
	t.Helper()
	var down *actor.DownError
	if !errors.As(err, &down) || !errors.Is(err, actor.ErrDown) || down.Cause != cause {
		t.Errorf("%s: %v, want down because of %s", what, err, cause)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", what, err, text)
		}
	}
}

// journal is what happened, in order, whoever wrote it.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func (j *journal) want(t *testing.T, what string, lines ...string) {
	t.Helper()
	if got := j.all(); !slices.Equal(got, lines) {
		t.Errorf("%s: %q, want %q", what, got, lines)
	}
}

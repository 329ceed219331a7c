package cell

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

func begin(ctx context.Context, h *host, loose bool) *Call {
	c := &Call{Target: "it", Loose: loose}
	c.Command = "work"
	if h != nil {
		ctx = WithScope(ctx, Scope{Host: h})
	}
	c.Begin(ctx)
	return c
}

func wantCall(t *testing.T, what string, c *Call, v Value, code wire.Code) {
	t.Helper()
	select {
	case <-c.Done():
	default:
		t.Errorf("%s: it goes on", what)
		return
	}
	for range 2 {
		got, err := c.Wait(context.Background())
		switch {
		case code == "" && (err != nil || got != v):
			t.Errorf("%s: %v, %v, want %v", what, got, err, v)
		case code != "" && (err == nil || err.Code != code):
			t.Errorf("%s: %v, %v, want %s", what, got, err, code)
		}
	}
}

// A call ends once, with what came first, whoever tells it.
func TestCallEndsOnce(t *testing.T) {
	h := &host{}
	c := begin(t.Context(), h, false)
	c.Value(word("first"))
	c.Failed(0, wire.Errorf(wire.CodeApp, "second"))
	c.Result(0, &wire.Message{Body: []byte("third")})
	c.Cancel()
	wantCall(t, "a value", c, word("first"), "")

	c = begin(t.Context(), h, false)
	c.Failed(0, wire.Errorf(wire.CodeApp, "first"))
	c.Value(word("second"))
	wantCall(t, "an error", c, nil, wire.CodeApp)

	for range 500 {
		c := begin(t.Context(), h, false)
		var all sync.WaitGroup
		var first atomic.Value
		for _, end := range []func(){
			func() { c.Value(word("value")) }, c.Cancel, func() { c.Failed(0, wire.Errorf(wire.CodeApp, "failed")) },
			func() { c.Placed(h, 3) },
			func() {
				v, e := c.Wait(context.Background())
				first.Store([2]any{v, e})
			},
		} {
			all.Go(end)
		}
		all.Wait()
		v, e := c.Wait(context.Background())
		if first.Load() != [2]any{v, e} {
			t.Fatalf("first %v, then %v and %v", first.Load(), v, e)
		}
	}
	if len(h.cancel) > 500 {
		t.Errorf("500 calls were taken back %d times", len(h.cancel))
	}
}

// Nothing begins without a scope, in a context that is over, or in a turn that is.
func TestBeginRefuses(t *testing.T) {
	c := begin(context.Background(), nil, false)
	wantCall(t, "no scope", c, nil, wire.CodeRefused)
	h := &host{start: func(Scope, *Call) { t.Error("it was started") }}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	turn := turnOf(time.Time{})
	turn.cell.host = h
	turn.cancel(canceled)
	for name, test := range map[string]struct {
		c    *Call
		code wire.Code
	}{
		"canceled":           {begin(over, h, false), wire.CodeCanceled},
		"canceled and loose": {begin(over, h, true), wire.CodeCanceled},
		"late":               {begin(late, h, false), wire.CodeDeadline},
		"a turn that is":     {begin(turn, nil, false), wire.CodeCanceled},
	} {
		wantCall(t, name, test.c, nil, test.code)
		if _, e := test.c.Wait(t.Context()); e.Started != wire.StartedNo {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := SendIn(context.Background(), "it", "work", nil); e == nil || e.Code != wire.CodeRefused || !strings.Contains(e.Message, "Arbiter.Context") {
		t.Errorf("send in no scope: %v", e)
	}
	if e := SendIn(WithScope(over, Scope{Host: h}), "it", "work", nil); e == nil || e.Code != wire.CodeCanceled || e.Started != wire.StartedNo {
		t.Errorf("send in a context that is over: %v", e)
	}
	if e := SendIn(WithScope(t.Context(), Scope{Host: h}), "it", "work", nil); e != nil {
		t.Error(e)
	}
	h.want(t, "sent", "send work to it")
}

// A call has the deadline of its context, or the default one.
func TestCallDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		if c := begin(context.Background(), h, false); time.Until(c.Deadline) != DefaultTimeout {
			t.Errorf("%v", time.Until(c.Deadline))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if c := begin(ctx, h, false); time.Until(c.Deadline) != time.Second {
			t.Errorf("%v", time.Until(c.Deadline))
		}
	})
}

// A call that is given up is taken back where it is in flight; one that was not
// yet placed is not placed any more.
func TestTakenBack(t *testing.T) {
	h := &host{}
	c := begin(t.Context(), h, false)
	if !c.Placed("there", 9) {
		t.Fatal("it has not ended")
	}
	if at, id := c.Place(); at != "there" || id != 9 {
		t.Errorf("%v, %d", at, id)
	}
	c.Cancel()
	c.Cancel()
	if len(h.cancel) != 1 || h.cancel[0] != c {
		t.Errorf("%d were taken back", len(h.cancel))
	}
	early := begin(t.Context(), h, false)
	early.Cancel()
	if early.Placed("there", 10) {
		t.Error("a call that has ended was placed")
	}
	answered := begin(t.Context(), h, false)
	answered.Placed("there", 11)
	answered.Value(nil)
	answered.Cancel()
	if len(h.cancel) != 1 {
		t.Errorf("%d were taken back", len(h.cancel))
	}
}

// Whoever waits gives the call up when their context ends. A loose call ends with
// its own whether or not anybody waits, and leaves nothing behind when it ends
// first.
func TestContextOfCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		ctx, cancel := context.WithCancel(context.Background())
		waited, loose := begin(ctx, h, false), begin(ctx, h, true)
		kept, stop := context.WithCancel(context.Background())
		defer stop()
		answered := begin(kept, h, true)
		unwatched := make(chan struct{})
		go func() { waited.Wait(ctx); close(unwatched) }()
		synctest.Wait()
		answered.Value(word("in time"))
		cancel()
		<-unwatched
		synctest.Wait()
		wantCall(t, "waited for", waited, nil, wire.CodeCanceled)
		wantCall(t, "loose", loose, nil, wire.CodeCanceled)
		wantCall(t, "answered", answered, word("in time"), "")
		if f := answered.unbind.Load(); f == nil || (*f)() {
			t.Error("a call that has ended still waits for its context")
		}

		deadline, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c := begin(deadline, h, true)
		<-c.Done()
		wantCall(t, "at the deadline", c, nil, wire.CodeDeadline)

		turn := turnOf(time.Now().Add(time.Second))
		turn.cell.host = h
		first, second := begin(turn, nil, true), begin(turn, nil, false)
		first.Value(nil)
		if m := turn.rest.Load(); m.nested != second || second.sibling != nil {
			t.Error("a call that has ended is still its turn's")
		}
		<-turn.Done()
		synctest.Wait()
		wantCall(t, "with its turn", second, nil, wire.CodeDeadline)
	})
}

// Calls of a turn end in any order, and those that have not end with it.
func TestCallsOfATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := turnOf(time.Now().Add(time.Second))
		turn.cell.host = &host{}
		calls := make([]*Call, 6)
		for i := range calls {
			calls[i] = begin(turn, nil, false)
		}
		for _, i := range []int{2, 5, 0, 3} { // inside, the newest, the oldest, beside one that has ended
			calls[i].Value(nil)
		}
		var left []*Call
		for c := turn.rest.Load().nested; c != nil; c = c.sibling {
			left = append(left, c)
		}
		if len(left) != 2 || left[0] != calls[4] || left[1] != calls[1] {
			t.Errorf("%d calls are the turn's, want the two that have not ended", len(left))
		}
		<-turn.Done()
		synctest.Wait()
		for _, i := range []int{1, 4} {
			wantCall(t, "with its turn", calls[i], nil, wire.CodeDeadline)
			if calls[i].sibling != nil || calls[i].younger != nil {
				t.Error("a call that has ended holds another")
			}
		}
	})
}

// What a reply says is copied: the reader's buffer is used again.
func TestResultIsCopied(t *testing.T) {
	c := begin(t.Context(), &host{}, false)
	body := []byte("body")
	c.Result(0, &wire.Message{Codec: wire.CodecRaw, Body: body})
	copy(body, "gone")
	v, err := c.Wait(t.Context())
	if e, ok := v.(*Encoded); !ok || err != nil || string(e.Data) != "body" || e.Codec != wire.CodecRaw || !e.Keep() {
		t.Errorf("%+v, %v", v, err)
	}
}

package cell

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// host carries nothing: it writes down what a cell tells it.
type host struct {
	mu     sync.Mutex
	lines  []string
	start  func(s Scope, c *Call) // what Start does; nil: nothing
	cancel []*Call
	told   func(r *Request) // called when r is answered; nil: nothing is

	commons *Commons // nil: nothing is shared
}

var _ Host = (*host)(nil)

func (h *host) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *host) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

func (h *host) want(t *testing.T, what string, lines ...string) {
	t.Helper()
	if got := h.all(); !slices.Equal(got, lines) {
		t.Errorf("%s: %q, want %q", what, got, lines)
	}
}

func (h *host) Start(_ context.Context, s Scope, c *Call) {
	if h.start != nil {
		h.start(s, c)
	}
}

func (h *host) Send(_ context.Context, _ Scope, target, command string, _ Value) *wire.Error {
	h.add("send %s to %s", command, target)
	return nil
}

func (h *host) TrySend(ctx context.Context, s Scope, target, command string, v Value) *wire.Error {
	return h.Send(ctx, s, target, command, v)
}

func (h *host) Cancel(c *Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancel = append(h.cancel, c)
}

func (h *host) Watch(context.Context, Scope, string, *Watch) *wire.Error { return nil }
func (h *host) Unwatch(*Watch)                                           {}
func (h *host) Commons() *Commons                                        { return h.commons }

func (h *host) Reply(r *Request, v Value, _ bool) {
	h.add("reply %d %v", r.ID, v)
	if h.told != nil {
		h.told(r)
	}
}

func (h *host) Fail(r *Request, e *wire.Error, _ bool) {
	h.add("fail %d %s started=%d", r.ID, e.Code, e.Started)
	if h.told != nil {
		h.told(r)
	}
}

func (h *host) Ready(_ *Cell, err error) { h.add("ready %v", err) }

func (h *host) Ended(_ *Cell, d *wire.Death) { h.add("ended %s", d.Cause) }

func (h *host) Misuse(_ *Cell, what string) { h.add("misuse") }

// word is a value that cannot be encoded if it is empty.
type word string

func (w word) Encode(dst []byte, codec wire.Codec) (Encoded, error) {
	if w == "" {
		return Encoded{}, &wire.FieldError{Code: wire.CodeNotEncodable, Reason: "no word"}
	}
	data, err := wire.Encode(codec, dst, string(w))
	return Encoded{Codec: codec, Data: data}, err
}

// source is a connection that keeps account.
type source struct {
	mu               sync.Mutex
	credits, started int
	cost             int
}

func (s *source) Credit(cost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credits++
	s.cost += cost
}

func (s *source) Started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
}

func (s *source) want(t *testing.T, what string, credits, started int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credits != credits || s.started != started || s.cost != 10*credits {
		t.Errorf("%s: %d credits of %d, %d started, want %d and %d", what, s.credits, s.cost, s.started, credits, started)
	}
}

// gates are handlers at work: each waits for its gate, or for its context.
type gates struct {
	host
	open map[string]chan struct{}
}

func newGates(names ...string) *gates {
	g := &gates{open: make(map[string]chan struct{})}
	for _, name := range names {
		g.open[name] = make(chan struct{})
	}
	return g
}

// share has the actors of g share workers and calls, until t ends.
func (g *gates) share(t *testing.T) {
	g.commons = new(Commons)
	t.Cleanup(g.commons.Close)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// newCell returns a cell that was not started, with the commands work (which waits
// for the gate its argument names), wait (for its context), now (in place), fail and
// panic, and what change makes of it.
func newCell(g *gates, change func(s *Spec)) *Cell {
	run := func(f func(ctx context.Context, w word) (Value, error)) func(context.Context, any, *Request) (Value, error) {
		return func(ctx context.Context, _ any, r *Request) (Value, error) {
			w, _ := r.Value.(word)
			return f(ctx, w)
		}
	}
	command := func(name string, f func(ctx context.Context, w word) (Value, error)) *Command {
		return &Command{CommandInfo: wire.CommandInfo{Name: name, Ack: true}, Run: run(f)}
	}
	s := &Spec{Kind: "test", Commands: map[string]*Command{
		"work": command("work", func(_ context.Context, w word) (Value, error) {
			g.add("work %s", w)
			<-g.open[string(w)]
			return w, nil
		}),
		"wait": command("wait", func(ctx context.Context, w word) (Value, error) {
			<-ctx.Done()
			g.add("over %s: %v", w, ctx.Err())
			return nil, ctx.Err()
		}),
		"fail":  command("fail", func(context.Context, word) (Value, error) { return nil, io.EOF }),
		"panic": command("panic", func(_ context.Context, w word) (Value, error) { panic(string(w)) }),
		"now":   {CommandInfo: wire.CommandInfo{Name: "now"}, InPlace: true, Run: run(func(_ context.Context, w word) (Value, error) { return w, nil })},
		"oops":  {CommandInfo: wire.CommandInfo{Name: "oops"}, InPlace: true, Run: run(func(context.Context, word) (Value, error) { panic("in place") })},
	}}
	if change != nil {
		change(s)
	}
	return New(s, g, context.Background(), "aid", "", slog.New(slog.NewTextHandler(io.Discard, nil)))
}

// counted fails t unless the account of c's messages is exact: whatever was
// accepted was started or dropped, or waits, and no bytes are charged without a message.
func counted(t *testing.T, c *Cell) {
	t.Helper()
	n := c.Counts()
	waiting, charged, bytes := c.Inbox()
	if charged == 0 && bytes != 0 {
		t.Errorf("%d bytes are charged, and no message", bytes)
	}
	if n.Accepted != n.Started+n.Dropped+uint64(waiting) {
		t.Errorf("%+v and %d that wait: the account is wrong", n, waiting)
	}
}

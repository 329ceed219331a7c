package peer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// runner is a Handler that takes runs, or not, and keeps what it was given: those of a run
// joined by a plus.
type runner struct {
	*end
	declines func() bool
	got      []string
	charges  []Charge
}

func said(m *wire.Message) string { return fmt.Sprintf("%s/%s", m.Target, m.Command) }

func (r *runner) Receive(c *Conn, m *wire.Message) {
	r.got = append(r.got, said(m))
	r.charges = append(r.charges, c.Charge(m))
}

func (r *runner) ReceiveRun(c *Conn, run *Run) bool {
	if r.declines() {
		return false
	}
	var all []string
	for i := range run.Messages {
		m := &run.Messages[i]
		all = append(all, said(m))
		r.charges = append(r.charges, run.Charge(i))
		if ch := c.Charge(m); ch.Cost != run.Charge(i).Cost {
			panic(fmt.Sprintf("the cost of %q is %d in a run, and %d", all[i], run.Charge(i).Cost, ch.Cost))
		}
	}
	r.got = append(r.got, strings.Join(all, "+"))
	return true
}

// handledBy returns the far end of a connection whose messages go to what of returns.
func handledBy(t *testing.T, o Options, of func(e *end) Handler) (*end, *peerOf) {
	t.Helper()
	e, p := unknownOver(t, o, func(p *PipeEnd) Transport { return p })
	go func() {
		m, _ := hello(DefaultWindow).Message()
		p.say(&m)
	}()
	if _, err := e.AwaitHello(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Welcome(welcome(e.Window())); err != nil {
		t.Fatal(err)
	}
	p.next()
	h := of(e)
	e.ran = make(chan struct{})
	go func() {
		defer close(e.ran)
		e.err = e.Conn.Run(h)
	}()
	t.Cleanup(func() {
		e.Close(nil)
		<-e.ran
	})
	return e, p
}

// runnerOf returns a runner that reads what its far end writes, after change.
func runnerOf(t *testing.T, o Options, change func(r *runner)) (*runner, *peerOf) {
	t.Helper()
	r := &runner{declines: func() bool { return false }}
	_, p := handledBy(t, o, func(e *end) Handler {
		r.end = e
		if change != nil {
			change(r)
		}
		return r
	})
	return r, p
}

// all writes messages at once.
func (p *peerOf) all(messages ...*wire.Message) {
	p.t.Helper()
	var b []byte
	for _, m := range messages {
		b = m.Append(frame.AppendBinary(b, m.Size()))
	}
	p.bytes(b)
}

// What is one-way, to one target, and was read at once is handled at once. Everything else
// ends a run.
func TestRuns(t *testing.T) {
	tell := func(target, command string) *wire.Message { return to(oneWay(command, 10), target) }
	ask := tell("a", "ask")
	ask.Flags = 0
	held := tell("a", "held")
	held.Flags = wire.FlagTurn
	accept := tell("a", "accept")
	accept.Flags |= wire.FlagAccept
	args := tell("a", "args")
	args.Flags |= wire.FlagArgs
	ext := tell("a", "ext")
	ext.Ext = wire.AppendParent(nil, 1)
	var many []*wire.Message
	for range MaxRun + 1 {
		many = append(many, tell("a", "x"))
	}
	for name, test := range map[string]struct {
		said []*wire.Message
		want []string
	}{
		"one":                  {[]*wire.Message{tell("a", "1")}, []string{"a/1"}},
		"two":                  {[]*wire.Message{tell("a", "1"), tell("a", "2")}, []string{"a/1+a/2"}},
		"with arguments":       {[]*wire.Message{tell("a", "1"), args}, []string{"a/1+a/args"}},
		"another target":       {[]*wire.Message{tell("a", "1"), tell("b", "2"), tell("b", "3"), tell("a", "4")}, []string{"a/1", "b/2+b/3", "a/4"}},
		"a call":               {[]*wire.Message{tell("a", "1"), tell("a", "2"), ask, tell("a", "3"), tell("a", "4")}, []string{"a/1+a/2", "a/ask", "a/3+a/4"}},
		"calls":                {[]*wire.Message{ask, ask, tell("a", "1"), tell("a", "2"), ask}, []string{"a/ask+a/ask", "a/1+a/2", "a/ask"}},
		"calls of a turn":      {[]*wire.Message{ask, held, held, ask}, []string{"a/ask", "a/held", "a/held", "a/ask"}},
		"one that is accepted": {[]*wire.Message{tell("a", "1"), accept, tell("a", "2")}, []string{"a/1", "a/accept", "a/2"}},
		"one with extensions":  {[]*wire.Message{ext, tell("a", "1"), ext}, []string{"a/ext", "a/1", "a/ext"}},
		"no request":           {[]*wire.Message{tell("a", "1"), tell("a", "2"), {Kind: wire.KindNotify}, tell("a", "3")}, []string{"a/1+a/2", "/", "a/3"}},
		"too many":             {many, []string{strings.Repeat("a/x+", MaxRun-1) + "a/x", "a/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, p := runnerOf(t, Options{}, nil)
				p.all(test.said...)
				synctest.Wait()
				if !slices.Equal(r.got, test.want) {
					t.Errorf("got %q, want %q", r.got, test.want)
				}
			})
		})
	}
}

// Whatever comes, in whatever pieces, and whether runs are taken or not: everything is handled
// once, in its order, and charged as each on its own is.
func TestRunsAreOnlyFaster(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			r, p := runnerOf(t, Options{}, func(r *runner) {
				r.declines = func() bool { return rnd.IntN(4) == 0 }
				r.on = nil
			})
			p.pipe.Slice(1 + rnd.IntN(4000))
			var want []string
			var messages, cost uint64
			var b []byte
			for i := range 300 {
				m := to(oneWay(fmt.Sprint(i), rnd.IntN(100)), []string{"a", "a", "a", "b"}[rnd.IntN(4)])
				switch rnd.IntN(20) {
				case 0, 1, 2, 3, 4:
					m.Flags, m.ID = 0, uint64(i+1)
				case 5:
					m.Flags, m.ID = wire.FlagTurn, uint64(i+1)
				case 6:
					m.Kind = wire.KindNotify
				case 7:
					m.Body = make([]byte, 5000)
				}
				want = append(want, said(m))
				if m.Kind == wire.KindRequest {
					messages++
					cost += uint64(wire.Cost(m.Size()))
				}
				b = m.Append(frame.AppendBinary(b, m.Size()))
			}
			go p.pipe.Write(b)
			synctest.Wait()
			if got := strings.FieldsFunc(strings.Join(r.got, "+"), func(c rune) bool { return c == '+' }); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %d were handled, or in another order, of %d", seed, len(got), len(want))
			}
			if m, bytes := r.Charged(); m != messages || bytes != cost {
				t.Errorf("seed %d: %d messages, %d bytes are charged, want %d and %d", seed, m, bytes, messages, cost)
			}
			for _, ch := range r.charges {
				ch.Return()
			}
			if m, bytes := r.Charged(); m != 0 || bytes != 0 {
				t.Errorf("seed %d: %d messages, %d bytes are charged when all is given back", seed, m, bytes)
			}
			if in := r.Stats().MessagesIn; in != 300 {
				t.Errorf("seed %d: %d messages were counted, want 300", seed, in)
			}
		})
	}
}

// Of a run that is longer than the window, what has room is handled, and then the connection
// ends.
func TestRunBeyondTheWindow(t *testing.T) {
	for _, room := range []uint64{0, 1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			r, p := runnerOf(t, Options{Window: wire.Window{Messages: 4 + room, Bytes: 1 << 20}}, nil)
			for range 4 {
				p.say(to(oneWay("first", 10), "a"))
				synctest.Wait()
			}
			r.got = nil
			var all []*wire.Message
			for range 8 {
				all = append(all, to(oneWay("x", 10), "a"))
			}
			p.all(all...)
			wantCode(t, r.why(), wire.CodeProtocol)
			if n := strings.Count(strings.Join(r.got, "+"), "a/x"); n != int(room) {
				t.Errorf("%d were handled, and there was room for %d", n, room)
			}
			if m, _ := r.Charged(); m != 4+room {
				t.Errorf("%d messages are charged, want %d", m, 4+room)
			}
		})
	}
}

// runOf returns a run from c of n messages of size bytes, which c has read.
func runOf(c *Conn, n, size int) *Run {
	r := c.purse.pool.getRun()
	for i := range n {
		r.messages[i] = *to(oneWay(fmt.Sprint(i), size), "it")
	}
	n, err := c.roomForRun(r, n)
	if err != nil {
		panic(err)
	}
	r.Messages, r.from = r.messages[:n], c
	return r
}

// What a run takes is given back, whether it is written, refused, or lost with the
// connection, and those that have no room are told one by one.
func TestPostRun(t *testing.T) {
	for name, test := range map[string]struct {
		limits  Limits
		window  wire.Window
		sender  string
		before  func(e *end)
		refused int
	}{
		"written":           {Limits{}, DefaultWindow, "s", nil, 0},
		"held":              {Limits{}, wire.Window{Messages: 3, Bytes: 1 << 20}, "s", nil, 0},
		"room for a few":    {Limits{DataHard: 3000}, DefaultWindow, "s", nil, 10 - 3000/(220+wire.MessageOverhead+len("its"))},
		"closed":            {Limits{}, DefaultWindow, "s", func(e *end) { e.Close(nil); <-e.ran }, 10},
		"a sender too long": {Limits{}, DefaultWindow, strings.Repeat("s", 256), nil, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, _ := strangers(Options{}, Options{})
				e, p := byHand(t, Options{Outbox: test.limits}, test.window)
				if test.before != nil {
					test.before(e)
				}
				run := runOf(from.Conn, 10, 199)
				b := &Backlog{From: from.Conn, Target: "it"}
				from.xoff = true
				b.TakeRun(run)
				if n, _ := from.Charged(); n != 10 || b.all.load().messages() != 10 {
					t.Fatalf("%d messages are charged, %d in the backlog, want 10", n, b.all.load().messages())
				}
				var refused []string
				e.PostRun(run, []byte(test.sender), func(m *wire.Message, err error) { refused = append(refused, string(m.Command)) })
				e.Flush()
				if len(refused) != test.refused {
					t.Errorf("refused are %q, want %d", refused, test.refused)
				}
				var got []string
				for range min(10-test.refused, int(test.window.Messages)) {
					got = append(got, p.next().command)
				}
				for i, c := range got {
					if c != fmt.Sprint(i) {
						t.Errorf("the far end got %q", got)
						break
					}
				}
				e.Close(nil)
				if e.ran != nil {
					<-e.ran
				}
				if n, bytes := from.Charged(); n != 0 || bytes != 0 {
					t.Errorf("%d messages, %d bytes are charged still", n, bytes)
				}
				if n := b.all.load() | b.again.load() | from.backlogged.load(); n != 0 {
					t.Errorf("something is in the backlog still: %x", uint64(n))
				}
			})
		})
	}
}

// A run beyond what a backlog may have stops its sender, as each on its own does, and takes no
// room of its window.
func TestRunBeyondTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hello(DefaultWindow)
		h.Features = wire.FeatureXoff
		from, p := byHandAs(t, Options{Window: wire.Window{Messages: 160, Bytes: 1 << 20}}, h, func(p *PipeEnd) Transport { return p })
		b := &Backlog{From: from.Conn, Target: "it"}
		part := 160 * 3 / 8 / 2
		first := runOf(from.Conn, part, 10)
		b.TakeRun(first)
		if n, _ := from.Charged(); n != uint64(part) || b.off.Load() {
			t.Fatalf("%d are charged, stopped: %v; want %d, and not", n, b.off.Load(), part)
		}
		second := runOf(from.Conn, 10, 10)
		b.TakeRun(second)
		from.Flush()
		if n, _ := from.Charged(); n != uint64(part) {
			t.Errorf("%d are charged to the window, want %d", n, part)
		}
		if all, again := b.all.load().messages(), b.again.load().messages(); all != uint64(part)+10 || again != 10 {
			t.Errorf("%d are in the backlog, %d of them with their room given back; want %d and 10", all, again, part+10)
		}
		for l := p.next(); l.kind != wire.KindXoff; l = p.next() {
		}
		for _, run := range []*Run{first, second} {
			for i := range run.Messages {
				run.Charge(i).Return()
			}
		}
		for l := p.next(); l.kind != wire.KindXon; l = p.next() {
		}
		if n := b.all.load() | b.again.load() | from.backlogged.load(); n != 0 {
			t.Errorf("something is in the backlog still: %x", uint64(n))
		}
	})
}

// Amounts that count from the beginning are compared rightly when they are beyond all bits.
func TestAmounts(t *testing.T) {
	for _, start := range []amount{0, 1<<64 - 1, amountOf(1<<24-1, 1<<40-1), amountOf(1<<23, 1<<40-5)} {
		var received, back total
		received.store(start)
		back.store(start)
		for range 1000 {
			received.add(amountOf(3, 1<<30))
			if used := received.load() - back.load(); used.messages() != 3 || used.bytes() != 1<<30 {
				t.Fatalf("from %x on: %d messages, %d bytes", uint64(start), used.messages(), used.bytes())
			}
			back.add(amountOf(3, 1<<30))
		}
	}
	w := grantable(wire.Window{Messages: 1 << 60, Bytes: 1 << 60})
	if a := amountOf(w.Messages+MaxRun, w.Bytes+1<<30); a.messages() != w.Messages+MaxRun || a.bytes() != w.Bytes+1<<30 {
		t.Errorf("the largest window that is granted, %v, is not an amount", w)
	}
}

// to addresses m.
func to(m *wire.Message, target string) *wire.Message {
	m.Target = []byte(target)
	return m
}

// runForwarder is a RunForwarder that keeps what it was given.
type runForwarder struct{ outcome }

func (f *runForwarder) Forward(id uint64, m *wire.Message) {
	if m.Kind == wire.KindError {
		f.add(id, wire.ParseError(m))
		return
	}
	f.add(id, nil)
}

func (f *runForwarder) ForwardRun(notes []Note, replies []wire.Message) {
	for i := range notes {
		if string(replies[i].Body) != fmt.Sprint(notes[i].ID) {
			f.add(notes[i].ID, fmt.Errorf("it has the answer %q", replies[i].Body))
			continue
		}
		f.Forward(notes[i].ID, &replies[i])
	}
}

// Replies that come together reach those they are for, each once, whoever these are, and what
// came with one that nobody asked for as well.
func TestRunsOfReplies(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			e, p := byHand(t, Options{}, wire.Window{Messages: 1 << 20, Bytes: 1 << 30})
			var plain outcome
			var one, other runForwarder
			callers := []Caller{&plain, &one, &one, &one, &other}
			tellers := []*outcome{&plain, &one.outcome, &one.outcome, &one.outcome, &other.outcome}
			const n = 200
			type asked struct {
				id   uint64
				of   *outcome
				gone bool
				fail bool
			}
			calls := make([]asked, n)
			for i := range calls {
				who := rnd.IntN(len(callers))
				id, err := e.Request(request("x", 1), Note{Caller: callers[who], ID: uint64(i)}, Charge{})
				if err != nil {
					t.Fatal(err)
				}
				calls[i] = asked{id: id, of: tellers[who], fail: rnd.IntN(20) == 0}
				if rnd.IntN(20) == 0 {
					calls[i].gone = true
					e.Calls().Take(id)
				}
			}
			never := -1
			if seed%2 == 0 {
				never = rnd.IntN(n)
			}
			var b []byte
			for at, i := range rnd.Perm(n) {
				m := wire.Message{Kind: wire.KindReply, ID: calls[i].id, Codec: wire.CodecRaw, Body: fmt.Append(nil, i)}
				if calls[i].fail {
					m = wire.Errorf(wire.CodeApp, "%d", i).Frame(wire.KindError, calls[i].id)
				}
				b = m.Append(frame.AppendBinary(b, m.Size()))
				if at == never {
					m = wire.Message{Kind: wire.KindReply, ID: 5<<slotBits | 7, Codec: wire.CodecRaw}
					b = m.Append(frame.AppendBinary(b, m.Size()))
				}
			}
			p.bytes(b)
			synctest.Wait()
			if never >= 0 {
				wantCode(t, e.why(), wire.CodeProtocol)
			}
			for i, c := range calls {
				if c.gone {
					if _, told := c.of.done[uint64(i)]; told {
						t.Errorf("seed %d: call %d was told, and had been given up", seed, i)
					}
					continue
				}
				err := c.of.of(t, uint64(i))
				if never >= 0 && err != nil && wire.AsError(err, "").Code == wire.CodeClosed {
					continue // it came behind what ended the connection
				}
				if (err != nil) != c.fail {
					t.Errorf("seed %d: call %d ended with %v, failed: %v", seed, i, err, c.fail)
				}
			}
		})
	}
}

// A run of calls has one note each, or goes nowhere as a whole.
func TestRequestRun(t *testing.T) {
	for name, test := range map[string]struct {
		limits Limits
		sender string
		before func(e *end)
		ok     bool
	}{
		"posted":            {Limits{}, "s", nil, true},
		"no room for all":   {Limits{Data: 3000}, "s", nil, false},
		"closed":            {Limits{}, "s", func(e *end) { e.Close(nil); <-e.ran }, false},
		"calls have ended":  {Limits{}, "s", func(e *end) { e.Calls().End(func(Note) *wire.Error { return wire.Errorf(wire.CodeDown, "x") }) }, false},
		"a sender too long": {Limits{}, strings.Repeat("s", 256), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, _ := strangers(Options{}, Options{})
				e, p := byHand(t, Options{Outbox: test.limits}, DefaultWindow)
				if test.before != nil {
					test.before(e)
				}
				run := runOf(from.Conn, 10, 200)
				var o outcome
				notes := make([]Note, 10)
				for i := range run.Messages {
					run.Messages[i].Flags = 0
					notes[i] = Note{Caller: &o, ID: uint64(100 + i)}
				}
				b := &Backlog{From: from.Conn, Target: "it"}
				from.xoff = true
				b.TakeRun(run)
				if ok := e.RequestRun(run, []byte(test.sender), notes); ok != test.ok {
					t.Fatalf("posted: %v, want %v", ok, test.ok)
				}
				if !test.ok {
					if n := e.Calls().Len(); n != 0 {
						t.Errorf("%d calls are noted", n)
					}
					for i := range run.Messages {
						run.Charge(i).Return()
					}
				} else {
					e.Flush()
					for i := range 10 {
						l := p.next()
						if note, ok := e.Calls().Peek(l.id); !ok || note.ID != uint64(100+i) || l.command != fmt.Sprint(i) {
							t.Errorf("message %d is %v, of note %v", i, l, note)
						}
						p.say(&wire.Message{Kind: wire.KindReply, ID: l.id})
					}
					synctest.Wait()
					for i := range 10 {
						if err := o.of(t, uint64(100+i)); err != nil {
							t.Errorf("call %d: %v", i, err)
						}
					}
				}
				if n, bytes := from.Charged(); n != 0 || bytes != 0 {
					t.Errorf("%d messages, %d bytes are charged still", n, bytes)
				}
				if n := b.all.load() | b.again.load() | from.backlogged.load(); n != 0 {
					t.Errorf("something is in the backlog still: %x", uint64(n))
				}
			})
		})
	}
}

// As many replies are posted as there is room for.
func TestPostReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{Outbox: Limits{Reply: 1000}}, DefaultWindow)
		replies := make([]wire.Message, 10)
		for i := range replies {
			replies[i] = wire.Message{Kind: wire.KindReply, ID: uint64(i), Codec: wire.CodecRaw, Body: make([]byte, 200)}
		}
		n := e.PostReplies(replies)
		if want := 1000 / (frame.BinaryHeaderSize(220) + 220); n != want {
			t.Errorf("%d were posted, want %d", n, want)
		}
		e.Flush()
		for i := range n {
			if l := p.next(); l.id != uint64(i) {
				t.Errorf("reply %d has the id %d", i, l.id)
			}
		}
	})
}

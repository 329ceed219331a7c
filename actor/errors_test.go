package actor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// sentinels are all there are, by the code on the wire.
var sentinels = map[wire.Code]*actor.Error{
	wire.CodeApp: actor.ErrApp, wire.CodeUnknownActor: actor.ErrUnknownActor, wire.CodeUnknownCommand: actor.ErrUnknownCommand,
	wire.CodeInvalid: actor.ErrInvalid, wire.CodeRefused: actor.ErrRefused, wire.CodeOverloaded: actor.ErrOverloaded,
	wire.CodeTooLarge: actor.ErrTooLarge, wire.CodeNotEncodable: actor.ErrNotEncodable, wire.CodeDeadline: actor.ErrDeadline,
	wire.CodeCanceled: actor.ErrCanceled, wire.CodeDown: actor.ErrDown, wire.CodeCycle: actor.ErrCycle, wire.CodeExists: actor.ErrExists,
	wire.CodeVersion: actor.ErrVersion, wire.CodeProtocol: actor.ErrProtocol, wire.CodeClosed: actor.ErrClosed,
}

// fake is an arbiter that says what a test wants.
type fake struct {
	t      *testing.T
	conn   *peer.Conn
	answer func(c *peer.Conn, m *wire.Message)
}

func (f *fake) Receive(c *peer.Conn, m *wire.Message) {
	if m.Kind == wire.KindRequest {
		f.answer(c, m)
		c.Flush()
	}
}
func (f *fake) Dry(*peer.Conn)  {}
func (f *fake) Beat(*peer.Conn) {}

// joinFake has a member join an arbiter that answers its hello with refuse, or
// takes it and answers requests with answer.
func joinFake(t *testing.T, refuse *wire.Error, answer func(c *peer.Conn, m *wire.Message)) (m *actor.Member) {
	t.Helper()
	ours, theirs := peer.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		f := &fake{t: t, conn: peer.New(theirs, peer.Options{OwnsEnd: true}), answer: answer}
		if _, err := f.conn.AwaitHello(context.Background()); err != nil {
			t.Error(err)
			return
		}
		if refuse != nil {
			f.conn.Refuse(refuse)
			f.conn.Close(refuse)
			return
		}
		if err := f.conn.Welcome(&wire.Welcome{Version: wire.Version, AID: "me", Arbiter: "arbiter", Window: wire.Window{Messages: 100, Bytes: 1 << 20}, MaxMessage: 1 << 20}); err != nil {
			t.Error(err)
			return
		}
		_ = f.conn.Run(f)
	}()
	m = actor.NewMember("", &actor.Kind[none]{Name: "caller"}, actor.JoinOptions{}.Over(ours))
	t.Cleanup(func() {
		_ = m.Close()
		<-served
	})
	return m
}

// Every code that can come over a connection is found again with errors.Is and
// errors.As: that one, and no other.
func TestEveryCode(t *testing.T) {
	if len(sentinels) != len(wire.Codes) {
		t.Fatalf("%d sentinels for %d codes", len(sentinels), len(wire.Codes))
	}
	for _, code := range wire.Codes {
		for _, started := range []wire.Started{wire.StartedUnknown, wire.StartedNo, wire.StartedYes} {
			t.Run(fmt.Sprintf("%s/%d", code, started), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					said := &wire.Error{Code: code, Started: started, Message: "said so", Target: "who", Command: "what", App: "own", Path: []string{"a", "b", "a"}}
					if code == wire.CodeDown {
						said.Death = &wire.Death{Cause: wire.CauseExit, ExitCode: 3, PID: 7, Stderr: []string{"one", "two"}}
					}
					m := joinFake(t, nil, func(c *peer.Conn, m *wire.Message) {
						f := said.Frame(wire.KindError, m.ID)
						if err := c.Post(peer.Reply, &f, peer.Charge{}); err != nil {
							t.Error(err)
						}
					})
					_, err := actor.Call[any](m.Context(context.Background()), "it", "echo")
					for other, sentinel := range sentinels {
						if is := errors.Is(err, sentinel); is != (other == code) {
							t.Errorf("%v is %s: %v", err, other, is)
						}
					}
					var e *actor.Error
					if !errors.As(err, &e) || e.Code != actor.Code(code) || e.Started != actor.Started(started) || e.App != "own" ||
						e.Target != "who" || e.Command != "what" || !slices.Equal(e.Path, said.Path) {
						t.Errorf("%+v", e)
					}
					var down *actor.DownError
					if errors.As(err, &down) != (code == wire.CodeDown) {
						t.Errorf("%v as a DownError: %v", err, down)
					}
					if down != nil && (down.Cause != actor.CauseExit || down.ExitCode != 3 || down.PID != 7 || !slices.Equal(down.Stderr, []string{"one", "two"})) {
						t.Errorf("%+v", down)
					}
					if errors.Is(err, context.DeadlineExceeded) != (code == wire.CodeDeadline) || errors.Is(err, context.Canceled) != (code == wire.CodeCanceled) {
						t.Errorf("%v and the errors of contexts", err)
					}
					wrapped := fmt.Errorf("while it worked: %w", err)
					if !errors.Is(wrapped, sentinels[code]) {
						t.Errorf("wrapped it is lost: %v", wrapped)
					}
				})
			})
		}
	}
}

// A hello that is refused fails whatever is done with the member, with the code it
// was refused with, always; nothing is left.
func TestHelloIsRefused(t *testing.T) {
	for _, code := range wire.Codes {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := joinFake(t, (&wire.Error{Code: code, Message: "not you"}).NotStarted(), nil)
				ctx := m.Context(context.Background())
				for range 2 {
					_, err := m.Ref(context.Background())
					if !errors.Is(err, sentinels[code]) {
						t.Errorf("ref: %v, want %s", err, code)
					}
					_, err = actor.Ping.Call(ctx, actor.Arbiter, none{})
					want(t, "call", err, sentinels[code], actor.StartedNo)
					want(t, "send", actor.Ping.Send(ctx, actor.Arbiter, none{}), sentinels[code], actor.StartedNo)
					_, err = actor.Watch(ctx, actor.Arbiter, func(context.Context, actor.Ended) {})
					want(t, "watch", err, sentinels[code], actor.StartedNo)
				}
				if err := m.Serve(context.Background()); !errors.Is(err, sentinels[code]) {
					t.Errorf("serve: %v", err)
				}
				<-m.Done()
			})
		})
	}
}

// An error a handler returns reaches the caller as app, with its text and, if it
// has one, its own code, whatever it wraps; the error of a call it made is its own.
func TestHandlerErrors(t *testing.T) {
	fail := actor.NewCommand[string, none]("fail")
	pass := actor.NewCommand[actor.Ref, none]("pass")
	everywhere(t, func(w *world) {
		s := w.put(&actor.Kind[none]{Name: "fails", Handlers: []actor.Handler[none]{
			blow,
			actor.On(fail, func(_ none, _ context.Context, how string) error {
				switch how {
				case "plain":
					return errors.New("plain text")
				case "own":
					return actor.NewError("no_rows", "no such rows")
				case "wrapped":
					return fmt.Errorf("select: %w", actor.NewError("no_rows", "no such rows"))
				case "joined":
					return errors.Join(errors.New("first"), actor.NewError("no_rows", "second"))
				case "canceled":
					return fmt.Errorf("of something else: %w", context.Canceled)
				case "sentinel":
					return actor.ErrOverloaded
				case "empty":
					return errors.New("")
				case "long":
					return errors.New(strings.Repeat("long ", 1<<20))
				}
				return nil
			}),
		}})
		own := actor.NewError("no_rows", "")
		for how, text := range map[string]string{
			"plain": "plain text", "own": "no such rows", "wrapped": "select: no such rows", "joined": "first\nsecond",
			"canceled": "of something else: context canceled", "sentinel": "overloaded", "empty": "", "long": "long long",
		} {
			_, err := fail.Call(w.ctx, s, how)
			want(w.t, how, err, actor.ErrApp, actor.StartedYes, text)
			if has := how == "own" || how == "wrapped" || how == "joined"; errors.Is(err, own) != has {
				w.t.Errorf("%s: %v has the handler's code: %v", how, err, !has)
			}
			if errors.Is(err, context.Canceled) || errors.Is(err, actor.ErrOverloaded) || errors.Is(err, actor.NewError("other", "")) {
				w.t.Errorf("%s: %v", how, err)
			}
		}
		p := w.put(&actor.Kind[none]{Name: "passes", Handlers: []actor.Handler[none]{
			actor.On(pass, func(_ none, ctx context.Context, to actor.Ref) error {
				_, err := actor.Call[any](ctx, to, "nothing")
				return err
			}),
		}})
		_, err := pass.Call(w.ctx, p, s)
		want(w.t, "the error of a call it made", err, actor.ErrApp, actor.StartedYes, "nothing")
		if !errors.Is(err, actor.NewError("unknown_command", "")) || errors.Is(err, actor.ErrUnknownCommand) {
			w.t.Errorf("the error of a call it made: %v", err)
		}
		dead := w.put(&actor.Kind[none]{Name: "dies", Handlers: []actor.Handler[none]{
			actor.On(pass, func(none, context.Context, actor.Ref) error { return nil }),
		}})
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, dead); err != nil {
			w.t.Fatal(err)
		}
		_, err = pass.Call(w.ctx, p, dead)
		want(w.t, "the death of who it called", err, actor.ErrApp, actor.StartedYes, "killed")
		if !errors.Is(err, actor.NewError("down", "")) {
			w.t.Errorf("the death of who it called: %v", err)
		}
	})
}

// Refused, closed and the rest as they come about.
func TestCodesAsTheyComeAbout(t *testing.T) {
	everywhere(t, func(w *world) {
		_, err := actor.KillActor.Call(w.ctx, actor.Arbiter, actor.Arbiter)
		want(w.t, "killing the arbiter", err, actor.ErrRefused, actor.StartedNo, "stop")
		_, err = actor.KillActor.Call(w.ctx, actor.Arbiter, actor.To("nobody"))
		want(w.t, "killing nobody", err, actor.ErrUnknownActor, actor.StartedNo)
		_, err = actor.Spawn(w.ctx, "nothing")
		want(w.t, "spawning nothing", err, actor.ErrInvalid, actor.StartedNo, `"nothing"`)
		_, err = actor.SpawnActor.Call(w.ctx, actor.Arbiter, actor.SpawnArgs{Kind: "caller", In: "cloud"})
		want(w.t, "spawning in the clouds", err, actor.ErrInvalid, actor.StartedNo)
		_, err = actor.Call[any](w.ctx, "", "ping")
		want(w.t, "calling nobody at all", err, actor.ErrUnknownActor, actor.StartedNo)
		_, err = actor.Call[any](w.ctx, strings.Repeat("n", 256), "ping")
		if !errors.Is(err, actor.ErrInvalid) && !errors.Is(err, actor.ErrUnknownActor) {
			w.t.Errorf("a very long name: %v", err)
		}
		s := w.put(clerk)
		_, err = actor.Call[any](w.ctx, s, strings.Repeat("c", 256))
		if !errors.Is(err, actor.ErrInvalid) && !errors.Is(err, actor.ErrUnknownCommand) {
			w.t.Errorf("a very long command: %v", err)
		}
	})
}

// A member that is closed, or whose connection is lost, says so for ever.
func TestClosedMember(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		for range 2 { // before its first call, and twice
			m := actor.NewMember("unix:/nowhere", &actor.Kind[none]{Name: "caller"}, actor.JoinOptions{})
			for range 2 {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
			_, err := actor.Ping.Call(m.Context(context.Background()), actor.Arbiter, none{})
			want(t, "never joined", err, actor.ErrClosed, actor.StartedNo, "closed")
			if err := m.Err(); err != nil {
				t.Errorf("it was closed, and says %v", err)
			}
		}
		blocks := a.Spawn(&actor.Kind[none]{Name: "blocks", Handlers: []actor.Handler[none]{block}})
		m := a.Join(&actor.Kind[none]{Name: "caller"}, actor.JoinOptions{})
		ctx := m.Context(context.Background())
		p := Block.Start(ctx, blocks, none{})
		synctest.Wait()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if _, err := p.Wait(); err == nil {
			t.Error("a call in flight of a member that is closed has a result")
		}
		began := time.Now()
		_, err := actor.Ping.Call(ctx, blocks, none{})
		want(t, "a call", err, actor.ErrClosed, actor.StartedNo, "the connection is closed", `"ping" was not sent`)
		want(t, "a send", actor.Send(ctx, blocks, "ping"), actor.ErrClosed, actor.StartedNo, "the connection is closed")
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v to say so", took)
		}
		if v, err := actor.Echo.Call(a.Context(), blocks, 1); fmt.Sprint(v) != "1" || err != nil {
			t.Errorf("who it called: %v, %v", v, err)
		}
	})
}

// The texts of errors say what, to whom, and what is known.
func TestErrorTexts(t *testing.T) {
	down := func(started actor.Started, d actor.Death) error {
		return &actor.DownError{Err: &actor.Error{Code: actor.Down, Target: "tally", Command: "add", Started: started}, Death: d}
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&actor.Error{Code: actor.Overloaded}, "overloaded"},
		{&actor.Error{Code: actor.Invalid, Message: "no"}, "no"},
		{&actor.Error{Code: actor.Invalid, Message: "no", Target: "tally", Command: "add"}, `call add on "tally": no`},
		{&actor.Error{Code: actor.Invalid, Target: "tally"}, `call on "tally": invalid`},
		{&actor.DownError{}, (&actor.Death{}).String()},
		{&actor.DownError{Death: actor.Death{Cause: actor.CauseKilled}}, "was killed"},
		{down(actor.StartedUnknown, actor.Death{Cause: actor.CauseKilled}), `call add on "tally": was killed`},
		{down(actor.StartedYes, actor.Death{Cause: actor.CausePanic, Reason: "boom"}), `call add on "tally": panicked: boom, while handling it`},
		{down(actor.StartedNo, actor.Death{Cause: actor.CauseStopped, Reason: "it has no workers"}), `call add on "tally": stopped: it has no workers, before the handler started`},
		{down(actor.StartedNo, actor.Death{Cause: actor.CauseStopped}), `call add on "tally": stopped before the handler started`},
		{down(actor.StartedYes, actor.Death{Cause: actor.CauseExit, ExitCode: 3, PID: 41, Stderr: []string{"a", "b"}}), `call add on "tally" (process, pid 41): exited with code 3 while handling it; last line: "b"`},
		{down(actor.StartedUnknown, actor.Death{Cause: actor.CauseSignal, Signal: "killed"}), `call add on "tally": was ended by signal "killed"`},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	for what, r := range map[string]actor.Ref{"tally(t-1)": {AID: "t-1", Name: "tally"}, "t-1": {AID: "t-1"}, "tally": {Name: "tally"}, "": {}} {
		if got := r.String(); got != what || r.IsZero() != (what == "") {
			t.Errorf("%q, want %q", got, what)
		}
	}
	if errors.Is(&actor.DownError{}, actor.ErrDown) { // which has no code, and no text of a call
		t.Error("the zero DownError is down")
	}
	if errors.Is(actor.NewError("a", "x"), actor.NewError("b", "x")) || !errors.Is(actor.NewError("a", "x"), actor.NewError("a", "y")) || !errors.Is(actor.NewError("a", "x"), actor.ErrApp) {
		t.Error("errors of the handler's own are told apart by their code")
	}
}

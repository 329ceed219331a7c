package actor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// quick are the commands that are answered even while a handler runs.
var quick = []string{"ping", "info", "config", "commands", "notify", "stop"}

// What is answered in place is answered while a handler has the turn, in every
// mode; echo and run take their turn.
func TestAnsweredWhileBusy(t *testing.T) {
	for name, mode := range map[string]actor.Mode{"serial": actor.Serial, "interleaved": actor.Interleaved, "concurrent": actor.Concurrent(1)} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(w *world) {
				s := w.put(&actor.Kind[none]{Name: "busy", Mode: mode, Handlers: []actor.Handler[none]{block}})
				p := Block.Start(w.within(time.Minute), s, none{})
				synctest.Wait()
				for _, command := range quick {
					args := []any{}
					if command == "config" {
						args = []any{"set", "color", "red"}
					}
					if _, err := actor.Call[any](w.within(time.Second), s, command, args...); err != nil {
						w.t.Errorf("%s while it is busy: %v", command, err)
					}
				}
				for _, command := range []string{"echo", "run"} {
					began := time.Now()
					_, err := actor.Call[any](w.within(time.Second), s, command, 1)
					if !errors.Is(err, actor.ErrDown) && !errors.Is(err, actor.ErrDeadline) { // it was asked to stop above
						w.t.Errorf("%s while it is busy: %v, after %v", command, err, time.Since(began))
					}
				}
				p.Cancel()
				_, err := p.Wait()
				want(w.t, "the handler", err, actor.ErrCanceled, actor.StartedUnknown)
			})
		})
	}
}

// A setting is the actor's own, of any type that can travel, and there are so many.
func TestConfig(t *testing.T) {
	everywhere(t, func(w *world) {
		read := actor.NewCommand[string, any]("read")
		s := w.put(&actor.Kind[none]{
			Name: "set",
			Started: func(_ none, ctx context.Context) error {
				self, _ := actor.Current(ctx)
				self.SetConfig("born", "with it")
				return nil
			},
			Handlers: []actor.Handler[none]{actor.Handle(read, func(_ none, ctx context.Context, name string) (any, error) {
				self, _ := actor.Current(ctx)
				v, ok := self.Config(name)
				if !ok {
					return "unset", nil
				}
				return v, nil
			})},
		})
		other := w.put(&actor.Kind[none]{Name: "other"})
		get := func(of actor.Ref, name string) (any, error) {
			return actor.Config.Call(w.ctx, of, actor.ConfigArgs{Op: "get", Name: name})
		}
		if v, err := get(s, "born"); v != "with it" || err != nil {
			w.t.Errorf("a setting of its start hook: %v, %v", v, err)
		}
		_, err := get(s, "color")
		want(w.t, "a setting nobody made", err, actor.ErrApp, actor.StartedYes, `"color"`)
		if !errors.Is(err, actor.NewError("no_setting", "")) {
			w.t.Errorf("a setting nobody made: %v", err)
		}
		if v, err := actor.Call[any](w.ctx, s, "config", "set", "color", []any{"red", "green"}); err != nil {
			w.t.Errorf("set: %v, %v", v, err)
		}
		if v, err := get(s, "color"); err != nil || fmt.Sprint(v) != "[red green]" {
			w.t.Errorf("get: %v, %v", v, err)
		}
		if v, err := read.Call(w.ctx, s, "color"); err != nil || fmt.Sprint(v) != "[red green]" {
			w.t.Errorf("as the actor sees it: %v, %v", v, err)
		}
		if v, err := actor.Call[any](w.ctx, s, "config", actor.Kwargs{"op": "set", "name": "color", "value": nil}); v != nil || err != nil {
			w.t.Errorf("set to nothing: %v, %v", v, err)
		}
		if v, err := get(s, "color"); v != nil || err != nil {
			w.t.Errorf("get nothing: %v, %v", v, err)
		}
		if _, err := get(other, "color"); !errors.Is(err, actor.NewError("no_setting", "")) {
			w.t.Errorf("a setting of another actor: %v", err)
		}
		_, err = actor.Config.Call(w.ctx, s, actor.ConfigArgs{Op: "got", Name: "color"})
		want(w.t, "neither get nor set", err, actor.ErrInvalid, actor.StartedNo, `"got"`, `"get"`, `"set"`)

		for n := range 1024 {
			if _, err := actor.Config.Call(w.ctx, other, actor.ConfigArgs{Op: "set", Name: fmt.Sprint(n), Value: n}); err != nil {
				w.t.Fatalf("setting %d: %v", n, err)
			}
		}
		_, err = actor.Config.Call(w.ctx, other, actor.ConfigArgs{Op: "set", Name: "one more"})
		want(w.t, "one setting too many", err, actor.ErrApp, actor.StartedYes, "1024")
		if _, err = actor.Config.Call(w.ctx, other, actor.ConfigArgs{Op: "set", Name: "7", Value: 8}); err != nil {
			w.t.Errorf("changing one of many: %v", err)
		}
	})
}

// size is an argument of a registered function.
type size struct {
	Width  int `cbor:"width" json:"width"`
	Height int `cbor:"height" json:"height"`
}

// run runs what was registered and nothing else, in the actor's turn.
func TestRun(t *testing.T) {
	everywhere(t, func(w *world) {
		s := w.put(&actor.Kind[none]{
			Name: "runner", Handlers: []actor.Handler[none]{block},
			Functions: []actor.Function{
				actor.Func("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil }),
				actor.Func("area", func(_ context.Context, s size) (int, error) { return s.Width * s.Height, nil }),
				actor.Func("whose", func(ctx context.Context, _ none) (string, error) {
					self, _ := actor.Current(ctx)
					return self.Kind(), nil
				}),
				actor.Func("fail", func(context.Context, none) (none, error) { return none{}, actor.NewError("odd", "it failed") }),
				actor.Func("blow", func(context.Context, none) (none, error) { panic("in a function") }),
			},
		})
		if n, err := actor.Call[int](w.ctx, s, "run", "double", 21); n != 42 || err != nil {
			w.t.Errorf("double: %d, %v", n, err)
		}
		if v, err := actor.Run.Call(w.ctx, s, actor.RunArgs{Function: "area", Argument: map[string]any{"width": 2, "height": 3}}); fmt.Sprint(v) != "6" || err != nil {
			w.t.Errorf("area: %v, %v", v, err)
		}
		if text, err := actor.Call[string](w.ctx, s, "run", "whose"); text != "runner" || err != nil {
			w.t.Errorf("whose: %q, %v", text, err)
		}
		_, err := actor.Call[any](w.ctx, s, "run", "fail")
		if want(w.t, "fail", err, actor.ErrApp, actor.StartedYes, "it failed"); !errors.Is(err, actor.NewError("odd", "")) {
			w.t.Errorf("fail: %v", err)
		}
		_, err = actor.Call[any](w.ctx, s, "run", "dubble", 1)
		want(w.t, "unknown", err, actor.ErrInvalid, actor.StartedNo, `no function "dubble"`, `did you mean "double"?`)
		for _, name := range []string{"block", "ping", "run", ""} { // commands are no functions
			_, err = actor.Call[any](w.ctx, s, "run", name)
			want(w.t, "a command", err, actor.ErrInvalid, actor.StartedNo, fmt.Sprintf("no function %q", name))
		}
		_, err = actor.Call[any](w.ctx, s, "run", "double", "two")
		want(w.t, "wrong argument", err, actor.ErrInvalid, actor.StartedNo, "int")
		_, err = actor.Call[any](w.ctx, s, "run", 1)
		want(w.t, "wrong name", err, actor.ErrInvalid, actor.StartedNo, `"function"`)
		_, err = actor.Call[any](w.ctx, s, "double", 1)
		want(w.t, "a function is no command", err, actor.ErrUnknownCommand, actor.StartedNo)
		if err := actor.Send(w.ctx, s, "run", "nothing"); err != nil {
			w.t.Error(err)
		}
		synctest.Wait()
		if letters := w.DeadLetters(); len(letters) != 1 || letters[0].Code != actor.Invalid || letters[0].Command != "run" {
			w.t.Errorf("run of nothing, one way: %+v", letters)
		}
		_, err = actor.Call[any](w.ctx, s, "run", "blow")
		wantDown(w.t, "blow", err, actor.CausePanic, "in a function")
	})
}

// The commands are listed by name, with what they are for and their types.
func TestCommands(t *testing.T) {
	everywhere(t, func(w *world) {
		measure := actor.NewCommand[size, []string]("measure", actor.Doc("measures"))
		hint := actor.NewCommand[string, none]("hint", actor.NoAck())
		s := w.put(&actor.Kind[none]{Name: "known", Handlers: []actor.Handler[none]{
			actor.Handle(measure, func(none, context.Context, size) ([]string, error) { return nil, nil }),
			actor.On(hint, func(none, context.Context, string) error { return nil }),
		}})
		list, err := actor.ListCommands.Call(w.ctx, s, none{})
		if err != nil {
			w.t.Fatal(err)
		}
		var names []string
		for _, c := range list {
			names = append(names, c.Name)
			switch c.Name {
			case "measure":
				if c != (actor.CommandInfo{Name: "measure", Doc: "measures", In: "actor_test.size", Out: "[]string", Ack: true}) {
					w.t.Errorf("%+v", c)
				}
			case "hint":
				if c != (actor.CommandInfo{Name: "hint", In: "string"}) {
					w.t.Errorf("%+v", c)
				}
			case "echo":
				if c.In != "any" || c.Out != "any" || !c.Ack || c.Doc == "" {
					w.t.Errorf("%+v", c)
				}
			case "stop":
				if c.Ack {
					w.t.Errorf("%+v", c)
				}
			case "ping":
				if c.In != "" || c.Out != "string" {
					w.t.Errorf("%+v", c)
				}
			}
		}
		if all := []string{"commands", "config", "echo", "hint", "info", "measure", "notify", "ping", "run", "stop"}; !slices.Equal(names, all) {
			w.t.Errorf("%q, want %q", names, all)
		}
	})
}

// What every actor answers can be answered differently only where it takes a turn.
func TestKindIsChecked(t *testing.T) {
	noop := func(none, context.Context, none) error { return nil }
	for name, c := range map[string]struct {
		kind actor.Behaviour
		text string
	}{
		"no name":         {&actor.Kind[none]{}, "kind"},
		"bad name":        {&actor.Kind[none]{Name: "a b"}, "a b"},
		"long name":       {&actor.Kind[none]{Name: strings.Repeat("n", 65)}, "kind"},
		"no command":      {&actor.Kind[none]{Name: "k", Handlers: []actor.Handler[none]{{}}}, "handler 0"},
		"nameless":        {&actor.Kind[none]{Name: "k", Handlers: []actor.Handler[none]{actor.On(actor.NewCommand[none, none](""), noop)}}, "handler 0"},
		"long command":    {&actor.Kind[none]{Name: "k", Handlers: []actor.Handler[none]{actor.On(actor.NewCommand[none, none](strings.Repeat("c", 256)), noop)}}, "255"},
		"twice":           {&actor.Kind[none]{Name: "k", Handlers: []actor.Handler[none]{block, block}}, "twice"},
		"own ping":        {&actor.Kind[none]{Name: "k", Handlers: []actor.Handler[none]{actor.On(actor.NewCommand[none, none]("ping"), noop)}}, "every actor's own"},
		"own stop":        {&actor.Kind[none]{Name: "k", Handlers: []actor.Handler[none]{actor.On(actor.NewCommand[none, none]("stop"), noop)}}, "every actor's own"},
		"nameless func":   {&actor.Kind[none]{Name: "k", Functions: []actor.Function{{}}}, "no name"},
		"two functions":   {&actor.Kind[none]{Name: "k", Functions: []actor.Function{actor.Func("f", nothing), actor.Func("f", nothing)}}, "twice"},
		"no method":       {&actor.Kind[none]{Name: "k", Handlers: []actor.Handler[none]{actor.Handle[none](Block, nil)}}, `answers "block" is nil`},
		"no method on":    {&actor.Kind[none]{Name: "k", Handlers: []actor.Handler[none]{actor.On[none](Block, nil)}}, `answers "block" is nil`},
		"no function":     {&actor.Kind[none]{Name: "k", Functions: []actor.Function{actor.Func[none, none]("f", nil)}}, `function "f" is nil`},
		"endless task":    {&actor.Kind[none]{Name: "k", Periodic: []actor.Task[none]{{Do: func(none, context.Context) {}}}}, "interval"},
		"negative inbox":  {&actor.Kind[none]{Name: "k", Inbox: actor.Limits{Messages: -1}}, "Inbox has -1 messages and 0 bytes"},
		"negative grace":  {&actor.Kind[none]{Name: "k", Grace: -time.Second}, "its Grace is -1s and its Budget 0s"},
		"negative budget": {&actor.Kind[none]{Name: "k", Budget: -1}, "its Grace is 0s and its Budget -1ns"},
		"negative bytes":  {&actor.Kind[none]{Name: "k", Inbox: actor.Limits{Bytes: -1}}, "Inbox has 0 messages and -1 bytes"},
		"task of no use":  {&actor.Kind[none]{Name: "k", Periodic: []actor.Task[none]{{Every: time.Second}}}, "nothing to do"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.kind.Spec(); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %q in it", err, c.text)
			}
		})
	}
	for name, kind := range map[string]actor.Behaviour{"nil": nil, "a nil pointer": (*actor.Kind[*clock])(nil)} {
		arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
			_, spawned := a.Arbiter.Spawn(a.Context(), kind)
			_, called := actor.Ping.Call(actor.NewMember("unix:/nowhere", kind, actor.JoinOptions{}).Context(context.Background()), actor.Arbiter, none{})
			_, started := arbiter.Start(context.Background(), arbiter.Options{Name: "other", Kinds: []actor.Behaviour{kind}})
			for what, err := range map[string]error{
				"spawn": spawned, "a call": called, "start": started,
				"serve": actor.Serve(context.Background(), "unix:/nowhere", kind, actor.JoinOptions{}),
			} {
				if err == nil || !strings.Contains(err.Error(), "the kind is nil: give a *actor.Kind") {
					t.Errorf("%s: %s: %v", name, what, err)
				}
			}
		})
	}
	own := &actor.Kind[none]{Name: "parrot", Handlers: []actor.Handler[none]{
		actor.Handle(actor.Echo, func(_ none, _ context.Context, v any) (any, error) { return []any{v, v}, nil }),
	}}
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		if v, err := actor.Echo.Call(a.Context(), a.Spawn(own), "x"); fmt.Sprint(v) != "[x x]" || err != nil {
			t.Errorf("an echo of its own: %v, %v", v, err)
		}
	})
}

func nothing(context.Context, none) (none, error) { return none{}, nil }

// What an actor tells of itself is true.
func TestInfo(t *testing.T) {
	everywhere(t, func(w *world) {
		s := w.putNamed(&actor.Kind[none]{Name: "told", Mode: actor.Interleaved, Handlers: []actor.Handler[none]{block}}, "teller")
		time.Sleep(time.Minute)
		p := Block.Start(w.ctx, s, none{})
		synctest.Wait()
		for range 3 {
			if err := actor.Send(w.ctx, s, "echo", 1); err != nil {
				w.t.Fatal(err)
			}
		}
		_, err := actor.Call[any](w.ctx, s, "nothing")
		want(w.t, "nothing", err, actor.ErrUnknownCommand, actor.StartedNo)
		info, err := actor.GetInfo.Call(w.ctx, s, none{})
		if err != nil {
			w.t.Fatal(err)
		}
		if info.AID != s.AID || info.Name != "teller" || info.Kind != "told" || info.State != "running" || info.Mode != "interleaved" ||
			info.PID == 0 || info.Uptime != time.Minute || info.Inbox != 3 || info.Accepted != 4 || info.Started != 1 || info.Refused != 1 {
			w.t.Errorf("%+v", info)
		}
		time.Sleep(10 * time.Second) // a heartbeat of one that joined tells the arbiter
		all, err := actor.Ps.Call(w.ctx, actor.Arbiter, none{})
		if err != nil {
			w.t.Fatal(err)
		}
		n := slices.IndexFunc(all, func(i actor.Info) bool { return i.AID == s.AID })
		if n < 0 {
			w.t.Fatalf("it is not among %+v", all)
		}
		in := map[string]string{"goroutine": "goroutine", "joined": "remote"}[w.place]
		if i := all[n]; i.Name != "teller" || i.Kind != "told" || i.State != "running" || i.In != in || i.Inbox != 3 || i.InFlight != 1 || i.Started != 1 {
			w.t.Errorf("ps: %+v", i)
		}
		p.Cancel()
		synctest.Wait()
		if info, err = actor.GetInfo.Call(w.ctx, s, none{}); err != nil || info.Started != 4 || info.Inbox != 0 {
			w.t.Errorf("in the end: %+v, %v", info, err)
		}
	})
}

// Echo gives back what it is given, notify the time.
func TestEchoAndNotify(t *testing.T) {
	everywhere(t, func(w *world) {
		s := w.put(&actor.Kind[none]{Name: "plain"})
		when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		for _, v := range []any{
			nil, true, int64(-1), uint64(math.MaxUint64), 1.5, "", "text", []byte{0, 255}, when,
			[]any{"a", []any{}}, map[string]any{"k": []any{nil}},
		} {
			got, err := actor.Echo.Call(w.ctx, s, v)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(v) {
				w.t.Errorf("echo of %v: %v (%T), %v", v, got, got, err)
			}
		}
		_, err := actor.Call[any](w.ctx, s, "echo", 1, 2)
		want(w.t, "echo of two", err, actor.ErrInvalid, actor.StartedNo, "2 arguments")
		_, err = actor.Call[any](w.ctx, s, "echo", actor.Kwargs{"v": 1})
		want(w.t, "echo of a name", err, actor.ErrInvalid, actor.StartedNo, "keyword")
		at, err := actor.Notify.Call(w.ctx, s, none{})
		if now := float64(time.Now().UnixNano()) / 1e9; at != now || err != nil {
			w.t.Errorf("notify: %v, %v, and it is %v", at, err, now)
		}
	})
}

// A one-way message that reaches no handler is a dead letter, once, and comes back
// to the Undelivered hook of who sent it.
func TestUndelivered(t *testing.T) {
	everywhere(t, func(w *world) {
		back := &journal{}
		far := w.put(&actor.Kind[none]{Name: "far", Handlers: []actor.Handler[none]{
			block, actor.On(Note, func(none, context.Context, string) error { return errors.New("it did start") }),
		}})
		sender := &actor.Kind[none]{
			Name:        "sender",
			Undelivered: func(_ none, _ context.Context, e *actor.Error) { back.add(fmt.Sprintf("%s %s", e.Command, e.Code)) },
			Handlers: []actor.Handler[none]{actor.On(Tell, func(_ none, ctx context.Context, to actor.Ref) error {
				self, _ := actor.Current(ctx)
				for _, err := range []error{
					actor.Send(ctx, to, "nothing"),
					actor.Send(ctx, to, "note", 1, 2),
					actor.Send(ctx, to, "note", "fails when it has started"),
					actor.Send(ctx, self.Ref(), "tell", 1),
					actor.Send(ctx, to, "block"),
					actor.Send(ctx, to, "echo"),
				} {
					// What can be said at once is returned instead.
					if err != nil {
						back.add(fmt.Sprintf("at once: %v", errors.Is(err, actor.ErrUnknownCommand)))
						// It is not a dead letter then: the sender has it.
					}
				}
				return nil
			})},
		}
		s := w.put(sender)
		if _, err := Tell.Call(w.ctx, s, far); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, far); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		told := back.all()
		letters := w.DeadLetters()
		var kept []string
		for _, l := range letters {
			if l.Sender != s.AID || l.Reason == "" || l.Time.IsZero() {
				w.t.Errorf("%+v", l)
			}
			kept = append(kept, fmt.Sprintf("%s %s", l.Command, l.Code))
		}
		slices.Sort(told)
		slices.Sort(kept)
		// What was written to a connection and lost with it is announced with its end.
		all := []string{"note invalid", "nothing unknown_command", "tell invalid"}
		if w.place == "goroutine" { // both in this process: the send itself says so
			all = []string{"at once: true", "echo down", "note invalid", "tell invalid"}
		}
		if !slices.Equal(told, all) {
			w.t.Errorf("told %q, want %q", told, all)
		}
		if all = slices.DeleteFunc(all, func(s string) bool { return strings.HasPrefix(s, "at once") }); !slices.Equal(kept, all) {
			w.t.Errorf("dead letters %q, want %q", kept, all)
		}
	})
}

// Where nobody wants to know, what comes back is logged.
func TestUndeliveredIsLogged(t *testing.T) {
	everywhere(t, func(w *world) {
		s := w.put(doer("plain", func(ctx context.Context, _ int) error {
			return actor.Send(ctx, "arbiter", "spawn", 1, 2, 3, 4, 5, 6)
		}))
		if _, err := Do.Call(w.ctx, s, 0); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		if l := w.DeadLetters(); len(l) != 1 || l[0].Code != actor.Invalid {
			w.t.Errorf("%+v", l)
		}
		if !strings.Contains(w.Log(), "command=spawn") {
			w.t.Error("it was not logged")
		}
	})
}

// What happens is told in order, from where one has read, and who waits is woken
// by the next event or after as long as it asked for.
func TestEvents(t *testing.T) {
	everywhere(t, func(w *world) {
		read := func(since uint64, wait time.Duration) []actor.Event {
			w.t.Helper()
			list, err := actor.Events.Call(w.ctx, actor.Arbiter, actor.EventsArgs{Since: since, Wait: wait})
			if err != nil {
				w.t.Fatal(err)
			}
			return list
		}
		last := func() uint64 {
			list := read(0, 0)
			for n, e := range list {
				if e.Seq != uint64(n+1) || e.Time.IsZero() {
					w.t.Errorf("event %d: %+v", n, e)
				}
			}
			return uint64(len(list))
		}
		synctest.Wait() // the caller is ready too
		seq := last()
		s := w.put(&actor.Kind[none]{Name: "born"})
		first := map[string]string{"goroutine": "spawned", "joined": "joined"}[w.place]
		read(seq, time.Second) // the first of them
		synctest.Wait()
		list := read(seq, time.Second)
		if len(list) != 2 || list[0].Type != first || list[1].Type != "ready" || list[1].Actor != s || list[1].Kind != "born" {
			w.t.Fatalf("%+v", list)
		}
		seq = list[1].Seq

		began := time.Now()
		if list = read(seq, 10*time.Second); len(list) != 0 || time.Since(began) != 10*time.Second {
			w.t.Errorf("%+v after %v", list, time.Since(began))
		}
		began = time.Now()
		if list = read(seq, 0); len(list) != 0 || time.Since(began) != 0 {
			w.t.Errorf("%+v after %v", list, time.Since(began))
		}
		killed := make(chan error, 1)
		go func() {
			time.Sleep(time.Second)
			_, err := actor.KillActor.Call(w.ctx, actor.Arbiter, s)
			killed <- err
		}()
		began = time.Now()
		list = read(seq, 10*time.Second)
		if err := <-killed; err != nil {
			w.t.Error(err)
		}
		if len(list) != 1 || list[0].Type != "ended" || list[0].Actor != s || list[0].Death == nil || list[0].Death.Cause != actor.CauseKilled {
			w.t.Errorf("%+v", list)
		}
		if took := time.Since(began); took != time.Second {
			w.t.Errorf("it was woken after %v", took)
		}
		if list = read(seq+100, 0); len(list) != 0 { // from the future
			w.t.Errorf("%+v", list)
		}
	})
}

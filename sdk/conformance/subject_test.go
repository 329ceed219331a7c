package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// subject is the conformance worker in Go. It is also used concurrently.
type subject struct {
	mu      sync.Mutex
	noted   []string
	waiting map[string]chan struct{}
}

func newSubject(context.Context) (*subject, error) {
	return &subject{waiting: map[string]chan struct{}{}}, nil
}

func (s *subject) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = append(s.noted, text)
	if c := s.waiting[text]; c != nil {
		close(c)
		delete(s.waiting, text)
	}
}

type (
	addArgs struct {
		A *int `json:"a"`
		B int  `json:"b"`
	}
	failArgs struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	lingerArgs struct {
		MS   int    `json:"ms"`
		Text string `json:"text"`
	}
	sleepArgs struct {
		MS  int    `json:"ms"`
		Tag string `json:"tag"`
	}
	callArgs struct {
		Target  string         `json:"target"`
		Command string         `json:"command"`
		Args    []any          `json:"args"`
		Kwargs  map[string]any `json:"kwargs"`
		Timeout int            `json:"timeout"`
	}
	conformArgs struct {
		File   string                    `json:"file"`
		Launch map[string]map[string]any `json:"launch"`
		Target string                    `json:"target"`
		Skip   map[string]string         `json:"skip"`
	}
	result struct {
		Name string `json:"name"`
		Why  string `json:"why"`
	}
)

// subjects are the variants, by name.
var subjects = map[string]*actor.Kind[*subject]{
	"serial":      subjectKind("serial", actor.Serial, 0),
	"interleaved": subjectKind("interleaved", actor.Interleaved, 0),
	"concurrent":  subjectKind("concurrent", actor.Concurrent(64), 0),
	"small":       subjectKind("small", actor.Serial, 4),
}

func subjectKind(variant string, mode actor.Mode, inbox int) *actor.Kind[*subject] {
	return &actor.Kind[*subject]{
		Name: "conformance-" + variant, Mode: mode, New: newSubject, Inbox: actor.Limits{Messages: inbox},
		Handlers: []actor.Handler[*subject]{
			actor.Handle(actor.NewCommand[addArgs, int]("add"), func(_ *subject, _ context.Context, a addArgs) (int, error) {
				return *a.A + a.B, nil
			}),
			actor.On(actor.NewCommand[failArgs, actor.None]("fail"), func(_ *subject, _ context.Context, a failArgs) error {
				return actor.NewError(a.Code, a.Message)
			}),
			actor.On(actor.NewCommand[actor.None, actor.None]("boom"), func(*subject, context.Context, actor.None) error {
				return errors.New("boom")
			}),
			actor.Handle(actor.NewCommand[sleepArgs, string]("sleep"), (*subject).sleep),
			actor.On(actor.NewCommand[string, actor.None]("note", actor.NoAck()), func(s *subject, _ context.Context, text string) error {
				s.note(text)
				return nil
			}),
			actor.On(actor.NewCommand[lingerArgs, actor.None]("linger", actor.NoAck()), func(s *subject, ctx context.Context, a lingerArgs) error {
				select {
				case <-time.After(time.Duration(a.MS) * time.Millisecond):
					s.note(a.Text)
				case <-ctx.Done():
				}
				return ctx.Err()
			}),
			actor.Handle(actor.NewCommand[string, int]("expect"), (*subject).expect),
			actor.Handle(actor.NewCommand[any, string]("describe"), func(_ *subject, _ context.Context, v any) (string, error) {
				return describe(v), nil
			}),
			actor.Handle(actor.NewCommand[callArgs, map[string]any]("outcome"), func(_ *subject, ctx context.Context, a callArgs) (map[string]any, error) {
				return outcome(a.call(ctx)), nil
			}),
			actor.Handle(actor.NewCommand[callArgs, any]("relay"), func(_ *subject, ctx context.Context, a callArgs) (any, error) {
				return a.call(ctx)
			}),
			actor.On(actor.NewCommand[string, actor.None]("attend"), func(s *subject, ctx context.Context, target string) error {
				_, err := actor.Watch(ctx, actor.To(target), func(_ context.Context, e actor.Ended) { s.note("down " + string(e.Cause)) })
				return err
			}),
			actor.On(actor.NewCommand[int, actor.None]("die"), func(_ *subject, _ context.Context, code int) error {
				fmt.Fprintln(os.Stderr, "last words")
				os.Exit(code)
				return nil
			}),
			actor.Handle(actor.NewCommand[conformArgs, []result]("conform"), (*subject).conform),
		},
		Stopping: func(_ *subject, ctx context.Context) {
			self, _ := actor.Current(ctx)
			if witness, ok := self.Config("witness"); ok {
				_ = actor.Send(ctx, witness.(string), "note", "hook ran") // that it came is what the case checks
			}
		},
		Undelivered: func(s *subject, _ context.Context, e *actor.Error) {
			s.note(fmt.Sprintf("undelivered %s %s", e.Command, e.Code))
		},
	}
}

func (s *subject) sleep(ctx context.Context, a sleepArgs) (string, error) {
	s.note(a.Tag + " begins")
	select {
	case <-time.After(time.Duration(a.MS) * time.Millisecond):
		return "slept", nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.note(a.Tag + " deadline")
	} else {
		s.note(a.Tag + " canceled")
	}
	s.note(a.Tag + " is over")
	return "", ctx.Err()
}

func (s *subject) expect(ctx context.Context, text string) (int, error) {
	s.mu.Lock()
	c := s.waiting[text]
	if c == nil {
		c = make(chan struct{})
		if slices.Contains(s.noted, text) {
			close(c)
		} else {
			s.waiting[text] = c
		}
	}
	s.mu.Unlock()
	select {
	case <-c:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, x := range s.noted {
		if x == text {
			n++
		}
	}
	return n, nil
}

func describe(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case *big.Int:
		return "int"
	case []byte:
		return "bytes"
	case time.Time:
		return "time"
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Int64:
		return "int"
	case reflect.Float64:
		return "float"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "list"
	}
	return "map"
}

func (a callArgs) call(ctx context.Context) (any, error) {
	if a.Timeout > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, time.Duration(a.Timeout)*time.Millisecond)
		defer done()
	}
	return actor.Call[any](ctx, a.Target, a.Command, append(a.Args, actor.Kwargs(a.Kwargs))...)
}

// outcome is what became of a call.
func outcome(v any, err error) map[string]any {
	if err == nil {
		return map[string]any{"result": v}
	}
	var e *actor.Error
	if !errors.As(err, &e) {
		return map[string]any{"code": "canceled", "message": err.Error()}
	}
	m := map[string]any{"code": string(e.Code), "message": e.Message}
	if e.App != "" {
		m["app"] = e.App
	}
	if e.Started != actor.StartedUnknown {
		m["started"] = e.Started == actor.StartedYes
	}
	var down *actor.DownError
	if errors.As(err, &down) {
		m["cause"] = string(down.Cause)
	}
	return m
}

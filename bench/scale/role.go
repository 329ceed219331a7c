package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/bench/child"
)

// The roles of the programs that take part.
const (
	roleArbiter = "arbiter"
	roleCrowd   = "crowd"
	roleWall    = "wall"
)

// roleEnv holds a post as JSON: this process then takes part in a scene.
const roleEnv = "ARBITER_SCALE_ROLE"

// post is what a program is started for.
type post struct {
	Role, Name string
	Dir        string // for the arbiter's socket
	Seed       uint64
	Profile    string
}

// order is what it is told to do, answer what it says then.
type order struct {
	Op   string
	Args json.RawMessage
}

type answer struct {
	Err   string          `json:",omitempty"`
	Value json.RawMessage `json:",omitempty"`
}

// none is no argument, or no result.
type none = struct{}

// op is something a role can be told to do.
type op func(ctx context.Context, args json.RawMessage) (any, error)

// does makes an op of a function with types.
func does[In, Out any](f func(ctx context.Context, in In) (Out, error)) op {
	return func(ctx context.Context, args json.RawMessage) (any, error) {
		var in In
		if len(args) > 0 {
			if err := json.Unmarshal(args, &in); err != nil {
				return nil, err
			}
		}
		return f(ctx, in)
	}
}

// act takes part in a scene and returns the exit code, if this process was started for
// that. It ends when its input does, so nothing it does outlives who started it.
func act(hook *arbiter.ChildHook) (code int, ok bool) {
	env := os.Getenv(roleEnv)
	if env == "" {
		return 0, false
	}
	_ = os.Unsetenv(roleEnv) // what this starts is something else
	out := json.NewEncoder(os.Stdout)
	ops, end, err := roles(env, hook)
	if err != nil {
		_ = out.Encode(answer{Err: err.Error()})
		return 1, true
	}
	defer end()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var o order
		if in.Decode(&o) != nil {
			// However much there is to end, it has a moment.
			time.AfterFunc(2*time.Second, func() { os.Exit(3) })
			return 0, true
		}
		if err := out.Encode(obey(ctx, ops, o)); err != nil {
			return 1, true
		}
	}
}

func obey(ctx context.Context, ops map[string]op, o order) answer {
	f := ops[o.Op]
	if f == nil {
		return answer{Err: fmt.Sprintf("there is no %q", o.Op)}
	}
	v, err := f(ctx, o.Args)
	if err != nil {
		return answer{Err: err.Error()}
	}
	value, err := json.Marshal(v)
	if err != nil {
		return answer{Err: err.Error()}
	}
	return answer{Value: value}
}

// roles returns what the role of this process can be told, and what ends it.
func roles(env string, hook *arbiter.ChildHook) (ops map[string]op, end func(), err error) {
	var p post
	if err := json.Unmarshal([]byte(env), &p); err != nil {
		return nil, nil, err
	}
	switch p.Role {
	case roleArbiter:
		return newHub(p, hook)
	case roleCrowd:
		ops, end := newCrowd(p)
		return ops, end, nil
	case roleWall:
		return newWall()
	}
	return nil, nil, fmt.Errorf("there is no role %q", p.Role)
}

// proc is a program that takes part, seen from the one that leads. One goroutine at a
// time uses it.
type proc struct{ *child.Process }

func launch(ctx context.Context, p post) (*proc, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	started, err := child.Start(p.Name, roleEnv, p)
	if err != nil {
		return nil, err
	}
	return &proc{started}, nil
}

// ask has a program do something, and returns what it says then.
func ask[Out any](ctx context.Context, p *proc, op string, in any) (out Out, err error) {
	args, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	// When it cannot be told it has ended, and what is awaited says so.
	_ = p.Tell(order{op, args})
	var a answer
	if err := p.Await(ctx, &a); err != nil {
		return out, p.Explain(fmt.Errorf("%s: %w", op, err))
	}
	if a.Err != "" {
		return out, p.Explain(fmt.Errorf("%s: %w", op, errors.New(a.Err)))
	}
	return out, json.Unmarshal(a.Value, &out)
}

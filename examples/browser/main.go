// Browser has a web page be an actor: it calls a calculator written in Go, and the
// calculator calls the page.
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/websocket"
)

//go:embed page.html
var page []byte

// The protocol. The calculator answers the first two; a page, which is written in
// JavaScript, answers the others.
var (
	Enter     = actor.NewCommand[actor.None, int]("enter", actor.Doc("says how many pages there are, with this one"))
	Calculate = actor.NewCommand[Sum, float64]("calculate", actor.Doc("calculates, and has the page write it down"))

	Show  = actor.NewCommand[string, int]("show", actor.Doc("writes a line on the tape, and says how many there are"))
	Press = actor.NewCommand[string, string]("press", actor.Doc("presses buttons, and says what the display shows then"))
)

// Sum is what is to be calculated.
type Sum struct {
	A  float64 `json:"a"`
	Op string  `json:"op"`
	B  float64 `json:"b"`
}

var errZero = actor.NewError("division_by_zero", "nothing can be divided by zero")

// calculator knows the pages that are open.
type calculator struct {
	pages map[string]bool
	came  func(actor.Ref)
}

// Enter counts the page that asks, until it ends.
func (c *calculator) Enter(ctx context.Context, _ actor.None) (int, error) {
	who, ok := actor.Caller(ctx)
	if !ok {
		return 0, errors.New("only an actor can enter")
	}
	if _, err := actor.Watch(ctx, who, func(_ context.Context, e actor.Ended) { delete(c.pages, e.Ref.AID) }); err != nil {
		return 0, err
	}
	c.pages[who.AID] = true
	c.came(who)
	return len(c.pages), nil
}

// Calculate answers with the result, once the page that asks has written it down. The
// page can: it is no serial actor, and answers while it waits itself.
func (c *calculator) Calculate(ctx context.Context, s Sum) (float64, error) {
	var result float64
	switch s.Op {
	case "+":
		result = s.A + s.B
	case "−":
		result = s.A - s.B
	case "×":
		result = s.A * s.B
	case "÷":
		if s.B == 0 {
			return 0, errZero
		}
		result = s.A / s.B
	default:
		return 0, fmt.Errorf("%q is not one of + − × ÷", s.Op)
	}
	who, _ := actor.Caller(ctx)
	_, err := Show.Call(ctx, who, fmt.Sprintf("%v %s %v = %v", s.A, s.Op, s.B, result))
	return result, err
}

// kind returns the calculator. came is told of each page that enters.
func kind(came func(actor.Ref)) *actor.Kind[*calculator] {
	return &actor.Kind[*calculator]{
		Name: "calculator",
		New: func(context.Context) (*calculator, error) {
			return &calculator{make(map[string]bool), came}, nil
		},
		Handlers: []actor.Handler[*calculator]{actor.Handle(Enter, (*calculator).Enter), actor.Handle(Calculate, (*calculator).Calculate)},
	}
}

// serve serves the page, and the websocket by which it joins arb, at l until ctx ends.
func serve(ctx context.Context, arb *arbiter.Arbiter, l net.Listener, came func(actor.Ref)) error {
	if _, err := arb.Spawn(ctx, kind(came), actor.Name("calculator")); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.Handle("/actors", websocket.New(arb, websocket.Options{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func run(ctx context.Context, listen string) error {
	token := rand.Text()
	arb, err := arbiter.Start(ctx, arbiter.Options{Name: "calculator", Token: token})
	if err != nil {
		return err
	}
	defer func() { _ = arb.Stop(context.WithoutCancel(ctx)) }()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	// The token stands behind the #, so that no browser sends it anywhere by itself.
	fmt.Printf("open http://%s/#%s\n", l.Addr(), token)
	return serve(ctx, arb, l, func(page actor.Ref) { fmt.Println("a page has joined:", page) })
}

func main() {
	listen := flag.String("listen", "127.0.0.1:7980", "the `ADDRESS` of the page")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

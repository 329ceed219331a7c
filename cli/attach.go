package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// client is what the command line is to the arbiter: an actor that only calls.
var client = &actor.Kind[actor.None]{Name: "cli"}

// address finds the arbiter to talk to.
func (a *app) address() (string, error) {
	if a.addr != "" {
		return a.addr, nil
	}
	if addr := os.Getenv(actor.EnvAddr); addr != "" {
		return addr, nil
	}
	list, err := arbiter.Instances()
	if err != nil {
		return "", &noArbiterError{err}
	}
	switch len(list) {
	case 0:
		return "", &noArbiterError{errors.New("no arbiter of yours is running\n  start one:  arbiter up        or name one:  --addr host:port")}
	case 1:
		return list[0].Address, nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d arbiters of yours are running: say which one", len(list))
	for _, i := range list {
		fmt.Fprintf(&b, "\n  --addr %s   (%s, pid %d)", i.Address, i.Name, i.PID)
	}
	return "", &usageError{errors.New(b.String())}
}

// attach runs do as a client of the arbiter.
func (a *app) attach(ctx context.Context, do func(ctx context.Context) error) error {
	address, err := a.address()
	if err != nil {
		return err
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	m := actor.NewMember(address, client, actor.JoinOptions{Client: true, Logger: quiet})
	defer m.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if _, err := m.Ref(ctx); err != nil {
		var e *actor.Error
		if errors.As(err, &e) {
			return err
		}
		return &noArbiterError{err}
	}
	return do(m.Context(ctx))
}

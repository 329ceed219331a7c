package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

// attaching gives cmd the flags of the commands that talk to an arbiter.
func (a *app) attaching(cmd *cobra.Command) *cobra.Command {
	a.timeout = 30 * time.Second
	flags := cmd.Flags()
	flags.StringVar(&a.addr, "addr", "", "talk to the arbiter at `ADDRESS`: unix:/path or host:port (default $ARBITER_ADDR, else your only one)")
	flags.Var(&flag[time.Duration]{&a.timeout, parseDuration("timeout"), "DURATION"}, "timeout", "how long to wait for an answer")
	return cmd
}

// client is what the command line is to the arbiter: an actor that only calls. It
// is told of what it sent in vain.
func client(undelivered chan<- *actor.Error) actor.Behaviour {
	return &actor.Kind[actor.None]{
		Name: "cli",
		Undelivered: func(_ actor.None, _ context.Context, err *actor.Error) {
			select {
			case undelivered <- err:
			default: // one is enough
			}
		},
	}
}

// attached is a connection to an arbiter.
type attached struct {
	address     string
	member      *actor.Member
	undelivered chan *actor.Error // what came back of what was sent: the first
}

// gone reports whether err is that the arbiter has ended, or is about to. A call may
// learn of it before the member does.
func (at *attached) gone(err error) bool {
	select {
	case <-at.member.Lost():
		return true
	default:
		return errors.Is(err, actor.ErrClosed)
	}
}

// attach runs do as a client of the arbiter, with a.timeout for all of it.
func (a *app) attach(ctx context.Context, do func(ctx context.Context, at *attached) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return a.join(ctx, do)
}

// join runs do as a client of the arbiter, with a.timeout for the connection only.
func (a *app) join(ctx context.Context, do func(ctx context.Context, at *attached) error) error {
	address, origin, err := a.address()
	if err != nil {
		return err
	}
	at := &attached{address: address, undelivered: make(chan *actor.Error, 1)}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	at.member = actor.NewMember(address, client(at.undelivered), actor.JoinOptions{Client: true, Logger: quiet, Timeout: a.timeout})
	hello, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if _, err := at.member.Ref(hello); err != nil {
		// Not closed: that waits for the dial, and this program ends anyway.
		return a.explainJoin(address, origin, err)
	}
	defer at.member.Close()
	return do(at.member.Context(ctx), at)
}

// address finds the arbiter to talk to, and says where the address is from.
func (a *app) address() (address, origin string, err error) {
	if a.addr != "" {
		return a.addr, "--addr", a.checkAddress(a.addr, "--addr")
	}
	if addr := os.Getenv(actor.EnvAddr); addr != "" {
		return addr, actor.EnvAddr, a.checkAddress(addr, actor.EnvAddr)
	}
	list, err := arbiter.Instances()
	dir, why := arbiter.ControlDir()
	if err != nil {
		p := noArbiter("your arbiters cannot be listed: %v", err).because("looked in %s, %s", dir, why)
		return "", "", p.hint("name one", a.again("--addr", "host:port"))
	}
	switch len(list) {
	case 0:
		p := noArbiter("no arbiter of yours was found")
		if runtime.GOOS == "windows" {
			p.because("there are no control sockets on Windows")
		} else {
			p.because("looked in %s, %s", dir, why).because("one that was started with another $XDG_RUNTIME_DIR, as by cron or su, is elsewhere")
		}
		return "", "", p.hint("start one", a.program+" up").hint("or name one", a.again("--addr", "host:port"))
	case 1:
		return list[0].Address, "", nil
	}
	p := usage("%d arbiters of yours are running: say which one", len(list))
	for _, i := range list {
		p.hint(fmt.Sprintf("%s, pid %d", i.Name, i.PID), a.again("--addr", quote(i.Address)))
	}
	return "", "", p
}

// checkAddress refuses what cannot be an address.
func (a *app) checkAddress(address, origin string) error {
	if strings.HasPrefix(address, "fd:") || strings.Contains(address, "/") {
		return nil
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(address, "tcp:"))
	if err == nil && host != "" && port != "" {
		return nil
	}
	return usage("%q in %s is no address: unix:/path or host:port", address, origin)
}

// explainJoin says why there is no connection.
func (a *app) explainJoin(address, origin string, err error) error {
	var e *actor.Error
	var p *problem
	var dns *net.DNSError
	switch {
	case errors.As(err, &e):
		return a.explainRefusal(address, err, e)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		p = &problem{exit: exitTimeout, code: "deadline", text: "the arbiter at " + address + " did not say hello within " + a.timeout.String()}
		p.hint("wait longer", a.again("--timeout", longer(a.timeout)))
		if pid := pidAt(address); pid != 0 {
			p.err = err
			p.because("its process, pid %d, is there, but hangs or is stopped", pid)
			return p.hint("let it go on, if it is stopped", fmt.Sprintf("kill -CONT %d", pid))
		}
		p.because("it hangs or is stopped, or what listens there is no arbiter")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		p = noArbiter("nothing listens at %s", address)
		if pid := pidAt(address); pid != 0 {
			p.because("its arbiter, pid %d, is stopping, or has only begun", pid)
		} else {
			p.because("the arbiter that did has ended, or the address is wrong")
		}
	case errors.Is(err, fs.ErrPermission):
		p = noArbiter("you may not use %s", address).because("it belongs to another user")
	case errors.As(err, &dns):
		p = noArbiter("nobody knows where %s is: %v", address, dns.Err)
	default:
		p = noArbiter("%v", err).because("what listens there has ended, or is no arbiter")
	}
	p.err = err
	if origin == actor.EnvAddr {
		p.because("the address is from %s", origin)
		p.hint("talk to your own arbiter", "env -u "+origin+" "+a.again("", ""))
	}
	return p.hint("start one", a.program+" up")
}

// pidAt returns the process of the user's own arbiter whose control socket is at
// address, or 0.
func pidAt(address string) int {
	list, err := arbiter.Instances()
	if err != nil {
		return 0
	}
	path := filepath.Clean(strings.TrimPrefix(address, "unix:"))
	for _, i := range list {
		if strings.TrimPrefix(i.Address, "unix:") == path {
			return i.PID
		}
	}
	return 0
}

// explainRefusal says why the arbiter did not let us in.
func (a *app) explainRefusal(address string, err error, e *actor.Error) error {
	switch e.Code {
	case actor.Refused:
		p := &problem{exit: exitRefused, code: string(e.Code), text: "the arbiter at " + address + " refuses: " + e.Message, err: err}
		return p.hint("say the token", actor.EnvToken+"=… "+a.again("", ""))
	case actor.Protocol:
		p := noArbiter("what listens at %s does not speak as an arbiter", address).because("%s", e.Message)
		p.err = err
		return p.hint("start one", a.program+" up")
	}
	return err
}

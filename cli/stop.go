package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) stopCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "stop TARGET", Short: "ask an actor to stop, and wait until it has", Args: a.arguments(1, 1),
		Long: `Asks an actor to stop, waits until it has, and says how it ended. It finishes what
it has accepted first. A worker of a pool, all workers of a pool, and a supervised
actor stay stopped until they are started. To stop "arbiter" is to stop the arbiter,
with all its actors. Of one at host:port, or of another $XDG_RUNTIME_DIR, it can only
tell that the connection has ended, which is before its actors have.`,
		Example: `  $0 stop web/2
  $0 stop web        # all its workers; start web starts them again
  $0 stop arbiter`,
		ValidArgsFunction: a.completeName(everybody),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, at *attached) error { return a.stop(ctx, at, args[0]) })
		},
	})
}

func (a *app) stop(ctx context.Context, at *attached, name string) error {
	if name == actor.Arbiter.Name {
		return a.stopArbiter(ctx, at)
	}
	d, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To(name))
	switch {
	case err == nil:
		return a.printEnd(name, d)
	case errors.Is(err, actor.ErrDeadline):
		return a.notStopped(ctx, name)
	case at.gone(err):
		return noArbiter("the arbiter ended before %s was known to have stopped", name)
	}
	return err
}

func (a *app) notStopped(ctx context.Context, name string) error {
	p := &problem{exit: exitTimeout, code: string(actor.Deadline), text: fmt.Sprintf("%s has not stopped within %v", name, a.timeout), err: ctx.Err()}
	p.because("it was asked to; a handler runs, or messages wait before the end")
	p.hint("wait longer", a.again("--timeout", longer(a.timeout)))
	if name != actor.Arbiter.Name {
		p.hint("end it at once", a.program+" kill "+quote(name))
	}
	return p
}

// endWait is how often stopArbiter looks whether the arbiter has ended.
const endWait = 20 * time.Millisecond

// stopArbiter asks the arbiter to stop, and waits until it has. That the connection to it
// ends is the beginning: those who only call are let go first. Its control socket it has
// until it has let go of all else that another one may want: processes, ports, the pid
// file.
func (a *app) stopArbiter(ctx context.Context, at *attached) error {
	if err := actor.Stop.Send(ctx, actor.Arbiter, actor.None{}); err != nil {
		return err
	}
	select {
	case <-at.member.Lost():
	case <-ctx.Done():
		return a.notStopped(ctx, actor.Arbiter.Name)
	}
	for {
		pid := pidAt(at.address)
		if pid == 0 {
			return a.printEnd(actor.Arbiter.Name, actor.Death{Cause: actor.CauseStopped})
		}
		select {
		case <-time.After(endWait):
		case <-ctx.Done():
			return a.stillStopping(ctx, pid)
		}
	}
}

// stillStopping says that the arbiter, the process pid, was not seen to end. It takes
// no commands any more.
func (a *app) stillStopping(ctx context.Context, pid int) error {
	p := &problem{exit: exitTimeout, code: string(actor.Deadline), text: fmt.Sprintf("the arbiter has not stopped within %v", a.timeout), err: ctx.Err()}
	p.because("it is stopping, and waits for its actors; its process is %d", pid)
	p.hint("wait longer next time", a.again("--timeout", longer(a.timeout)))
	return p.hint("end it at once, with all its actors", fmt.Sprintf("kill -KILL %d", pid))
}

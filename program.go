package arbiter

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// program is the state of an actor that stands for a process which speaks no
// protocol: a goroutine actor that has started it, and ends with it.
type program struct {
	inc     *incarnation
	process *proc.Process
}

// silentProgram is the behaviour of i, whose args describe a program. It is of one
// actor only, because it knows it.
func silentProgram(i *incarnation) *cell.Spec {
	kind := &actor.Kind[*program]{
		Name: i.args.Kind,
		Doc:  "a program that speaks no protocol: " + i.args.Run[0],
		New: func(context.Context) (*program, error) {
			spec, err := i.processSpec()
			if err == nil {
				spec.Env = i.arb.childEnv(i, spec.Env, 0, "")
				err = i.launch(spec)
			}
			if err != nil {
				return nil, errors.New(i.notStarted(err))
			}
			p := &program{inc: i, process: i.process.Load()}
			i.arb.background(p.attend)
			return p, nil
		},
		Stopping: func(p *program, ctx context.Context) {
			sig, _ := signalNamed(i.args.StopSignal)
			if err := p.process.Stop(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				i.arb.log.Warn("a program could not be asked to stop", "actor", i.label(), "signal", sig, "error", err)
			}
			select {
			case <-p.process.Exited():
				within(lastWords, p.process.Done())
			case <-ctx.Done(): // its grace is over: it was killed
			}
		},
	}
	spec, err := kind.Spec()
	if err != nil {
		panic("arbiter: the kind of a program is not valid: " + err.Error()) // checkSpawn has looked
	}
	return spec
}

// attend ends the actor when its process has ended, and no sooner than it was ready: a
// process that was started is no failed start, however soon it ends.
func (p *program) attend() {
	<-p.process.Exited()
	within(lastWords, p.process.Done())
	<-p.inc.ready.until() // or has ended otherwise
	if p.inc.cell.State() == cell.Stopping {
		return // the stop hook has seen it
	}
	d := &wire.Death{Cause: wire.CauseConnection, PID: p.process.PID(), Stderr: p.process.Tail()}
	p.inc.exitDeath(d, p.process.Exit())
	p.inc.cell.Kill(d)
}

// signalNamed returns the signal called name, with or without SIG; TERM for "".
func signalNamed(name string) (os.Signal, *wire.Error) {
	switch strings.TrimPrefix(strings.ToUpper(name), "SIG") {
	case "", "TERM":
		return syscall.SIGTERM, nil
	case "INT":
		return os.Interrupt, nil
	case "QUIT":
		return syscall.SIGQUIT, nil
	case "HUP":
		return syscall.SIGHUP, nil
	case "KILL":
		return os.Kill, nil
	}
	if sig, ok := otherSignals[strings.TrimPrefix(strings.ToUpper(name), "SIG")]; ok {
		return sig, nil
	}
	return nil, invalid("the stop signal %q is not one of TERM, INT, QUIT, HUP, USR1, USR2, KILL", name)
}

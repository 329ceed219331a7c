package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/arbiter-go/arbiter/actor"
)

// The exit codes, for scripts.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnknown     = 4 // no such actor or command
	exitNoArbiter   = 5
	exitRefused     = 6
	exitTimeout     = 7
	exitInterrupted = 130
)

// problem is an error as the command line tells it: what happened, why it probably
// did, and what to type.
type problem struct {
	exit  int
	code  string // the word scripts compare
	text  string // what happened; none if there is nothing to say
	why   []string
	hints []hint
	err   error // what it comes of, if it does

	// stands: it is what to tell even of a program that was interrupted. Other
	// things fail because of that.
	stands bool
}

// hint is a command to type, and what for.
type hint struct {
	For  string `json:"for"`
	Type string `json:"type"`
}

// interruptedQuietly is the end of what only ever ends by an interruption.
func interruptedQuietly() *problem {
	return &problem{exit: exitInterrupted, code: "interrupted", stands: true}
}

func (p *problem) Error() string { return p.text }

func (p *problem) Unwrap() error { return p.err }

// because adds why it probably happened.
func (p *problem) because(format string, args ...any) *problem {
	p.why = append(p.why, fmt.Sprintf(format, args...))
	return p
}

// hint adds what to type.
func (p *problem) hint(purpose, command string) *problem {
	p.hints = append(p.hints, hint{purpose, command})
	return p
}

// usage is a command line that cannot be meant.
func usage(format string, args ...any) *problem {
	return &problem{exit: exitUsage, code: "usage", text: fmt.Sprintf(format, args...)}
}

// noArbiter says that there is nobody to talk to.
func noArbiter(format string, args ...any) *problem {
	return &problem{exit: exitNoArbiter, code: "no-arbiter", text: fmt.Sprintf(format, args...)}
}

// interruption is the cause of a context that a signal ended.
type interruption struct{ signal os.Signal }

func (i interruption) Error() string { return i.signal.String() }

// interrupted reports whether a signal ended ctx.
func interrupted(ctx context.Context) bool {
	var by interruption
	return errors.As(context.Cause(ctx), &by)
}

// explain makes a problem of err.
func (a *app) explain(ctx context.Context, err error) *problem {
	var p *problem
	if errors.As(err, &p) && (p.stands || !interrupted(ctx)) {
		return p
	}
	if interrupted(ctx) {
		return &problem{exit: exitInterrupted, code: "interrupted", text: "interrupted", err: err}
	}
	var down *actor.DownError
	if errors.As(err, &down) {
		return a.explainDown(err, down)
	}
	var e *actor.Error
	if errors.As(err, &e) {
		return a.explainError(err, e)
	}
	return &problem{exit: exitFailed, code: "failed", text: err.Error(), err: err}
}

// explainDown tells of a target that ended, with all it said last.
func (a *app) explainDown(err error, down *actor.DownError) *problem {
	p := &problem{exit: exitFailed, code: string(actor.Down), err: err}
	quiet := *down
	quiet.Stderr = nil
	p.text = strings.Replace(err.Error(), down.Error(), quiet.Error(), 1)
	if len(down.Stderr) > 0 {
		p.because("its last lines:")
		for _, line := range down.Stderr {
			p.because("  | %s", line)
		}
	}
	// What was stopped, or given up, is there to be started: the arbiter says so in words.
	target := quote(down.Err.Target)
	switch gaveUp := strings.HasPrefix(down.Reason, "given up: "); {
	case down.Err.Started == actor.StartedNo && gaveUp:
		p.hint("after fixing it", a.program+" start "+target).hint("full output", a.program+" logs "+target+" --since 2m")
	case down.Err.Started == actor.StartedNo && down.Cause == actor.CauseStopped && down.Reason == "it has no workers":
		p.hint("give it some", a.program+" scale "+target+"=1") // there is nobody to start
	case down.Err.Started == actor.StartedNo && down.Cause == actor.CauseStopped:
		p.hint("start it", a.program+" start "+target)
	}
	return p.hint("see who is there", a.program+" ps")
}

// explainError tells how a call failed, by its code.
func (a *app) explainError(err error, e *actor.Error) *problem {
	p := &problem{exit: exitFailed, code: string(e.Code), text: err.Error(), err: err}
	switch e.Code {
	case actor.App:
		if e.App != "" {
			p.code = e.App
		}
	case actor.UnknownActor:
		p.exit, p.text = exitUnknown, e.Message
		p.hint("see who is there", a.program+" ps")
	case actor.UnknownCommand:
		p.exit = exitUnknown
		p.hint("see what it answers", a.program+" call "+quote(e.Target)+" commands")
	case actor.Invalid:
		p.exit = exitUsage
		p.hint("see what it takes", a.program+" call "+quote(e.Target)+" commands")
	case actor.Exists:
		p.hint("see who is there", a.program+" ps")
	case actor.Refused:
		p.exit = exitRefused
	case actor.Deadline:
		p.exit = exitTimeout
		p.text = fmt.Sprintf("call %s on %q was not answered within %v", e.Command, e.Target, a.timeout)
		switch e.Started {
		case actor.StartedNo:
			p.because("its handler was not started: the messages before it take long")
		case actor.StartedYes:
			p.because("its handler was started, and has been told to give up")
		default:
			p.because("its handler may run, or wait behind others; if it runs it has been told to give up")
		}
		p.hint("see what it is at", a.program+" inspect "+quote(e.Target))
		p.hint("wait longer", a.again("--timeout", longer(a.timeout)))
	case actor.Closed:
		p.exit, p.code = exitNoArbiter, "no-arbiter"
		p.because("the arbiter ended in the meantime")
		if e.Started != actor.StartedNo {
			p.because("nobody knows whether the command was carried out")
		}
		p.hint("start one", a.program+" up")
	}
	return p
}

// quote writes word as a shell takes it.
func quote(word string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-./:@%+,", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

package actor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Code is one of the closed set of error codes. docs/contract.md lists them, with
// what each says of the handler.
type Code string

// The closed set.
const (
	// App: the handler returned an error. Error.App is the handler's own code.
	App Code = Code(wire.CodeApp)
	// UnknownActor: there is no such target.
	UnknownActor Code = Code(wire.CodeUnknownActor)
	// UnknownCommand: the target has no such command.
	UnknownCommand Code = Code(wire.CodeUnknownCommand)
	// Invalid: the arguments do not fit the command's types.
	Invalid Code = Code(wire.CodeInvalid)
	// Refused: this sender may not do that.
	Refused Code = Code(wire.CodeRefused)
	// Overloaded: a queue, a window or a budget is full.
	Overloaded Code = Code(wire.CodeOverloaded)
	// TooLarge: the message is over the limit, 16 MiB unless set otherwise.
	TooLarge Code = Code(wire.CodeTooLarge)
	// NotEncodable: an argument or a result has no image on the wire.
	NotEncodable Code = Code(wire.CodeNotEncodable)
	// Deadline: the time was up.
	Deadline Code = Code(wire.CodeDeadline)
	// Canceled: the caller gave up.
	Canceled Code = Code(wire.CodeCanceled)
	// Down: the target ended. The error is a *DownError.
	Down Code = Code(wire.CodeDown)
	// Cycle: the wait could never end. Error.Path says who waits for whom.
	Cycle Code = Code(wire.CodeCycle)
	// Exists: the aid or name belongs to a living actor, or to a supervised one that may be started.
	Exists Code = Code(wire.CodeExists)
	// Version: the two ends speak different versions.
	Version Code = Code(wire.CodeVersion)
	// Protocol: a peer broke the protocol.
	Protocol Code = Code(wire.CodeProtocol)
	// Closed: this end, or the arbiter, is shutting down.
	Closed Code = Code(wire.CodeClosed)
)

// Sentinels for errors.Is: err matches if it has the code.
var (
	ErrApp            = &Error{Code: App}
	ErrUnknownActor   = &Error{Code: UnknownActor}
	ErrUnknownCommand = &Error{Code: UnknownCommand}
	ErrInvalid        = &Error{Code: Invalid}
	ErrRefused        = &Error{Code: Refused}
	ErrOverloaded     = &Error{Code: Overloaded}
	ErrTooLarge       = &Error{Code: TooLarge}
	ErrNotEncodable   = &Error{Code: NotEncodable}
	ErrDeadline       = &Error{Code: Deadline}
	ErrCanceled       = &Error{Code: Canceled}
	ErrDown           = &Error{Code: Down}
	ErrCycle          = &Error{Code: Cycle}
	ErrExists         = &Error{Code: Exists}
	ErrVersion        = &Error{Code: Version}
	ErrProtocol       = &Error{Code: Protocol}
	ErrClosed         = &Error{Code: Closed}
)

// Started says what is known of the handler of a call that failed.
type Started int8

// What can be known.
const (
	StartedUnknown Started = Started(wire.StartedUnknown) // it may have started
	StartedNo      Started = Started(wire.StartedNo)      // it certainly did not start: trying again is safe
	StartedYes     Started = Started(wire.StartedYes)     // it certainly started
)

// Error is how a call or a send failed, the same for every place an actor can be
// in and every language. Compare it with errors.Is: by code (ErrDeadline), or with
// an error made by NewError, by that error's own code. A deadline also matches
// context.DeadlineExceeded, a canceled call context.Canceled.
type Error struct {
	Code    Code
	App     string   // the handler's own code, with Code App
	Message string   // what happened, in words
	Target  string   // who was called
	Command string   // with what
	Started Started  // what is known of the handler
	Path    []string // with Code Cycle: who waits for whom, first to last
}

// NewError returns an error for handlers to return, alone or wrapped. Its caller
// finds its code again with errors.Is or Error.App, in whatever process it is.
func NewError(code, text string) *Error { return &Error{Code: App, App: code, Message: text} }

// Error returns what happened, to whom: `call add on "tally": …`.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = string(e.Code)
	}
	switch {
	case e.Target == "" && e.Command != "" && e.Code == UnknownActor: // a Ref that is zero
		return "call " + e.Command + " on nobody: " + text
	case e.Target == "":
		return text
	}
	var b strings.Builder
	b.WriteString("call ")
	if e.Command != "" {
		b.WriteString(e.Command + " ")
	}
	fmt.Fprintf(&b, "on %q: %s", e.Target, text)
	return b.String()
}

// Is matches a target of the same code and, if it has one, the same App code.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == Deadline
	case context.Canceled:
		return e.Code == Canceled
	}
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.App == "" || t.App == e.App)
}

// Cause says how an actor ended.
type Cause string

// The causes of death.
const (
	// CauseStopped: it was asked to stop, or its Serve returned.
	CauseStopped Cause = Cause(wire.CauseStopped)
	// CauseExit: its process exited by itself; see ExitCode.
	CauseExit Cause = Cause(wire.CauseExit)
	// CauseSignal: a signal killed its process; see Signal.
	CauseSignal Cause = Cause(wire.CauseSignal)
	// CausePanic: a handler or hook panicked; the stack is in the log.
	CausePanic Cause = Cause(wire.CausePanic)
	// CauseStart: it never became ready.
	CauseStart Cause = Cause(wire.CauseStart)
	// CauseConnection: its connection was lost, and nothing more is known.
	CauseConnection Cause = Cause(wire.CauseConnection)
	// CauseProtocol: it broke the protocol and was cut off.
	CauseProtocol Cause = Cause(wire.CauseProtocol)
	// CauseHeartbeat: it was silent for too long.
	CauseHeartbeat Cause = Cause(wire.CauseHeartbeat)
	// CauseHung: a handler outlived its budget, or the stop's.
	CauseHung Cause = Cause(wire.CauseHung)
	// CauseKilled: it was killed by request.
	CauseKilled Cause = Cause(wire.CauseKilled)
	// CauseMemory: it ran out of memory.
	CauseMemory Cause = Cause(wire.CauseMemory)
	// CauseFrozen: it was silent for too long because its process is stopped, as by
	// SIGSTOP. The process was then killed.
	CauseFrozen Cause = Cause(wire.CauseFrozen)
	// CauseSpinning: it was silent for too long while its process used the processor
	// without a pause. The process was then killed.
	CauseSpinning Cause = Cause(wire.CauseSpinning)
)

// Death is the end of one life of an actor.
type Death struct {
	Cause    Cause    `cbor:"cause" json:"cause"`
	Reason   string   `cbor:"reason,omitempty" json:"reason,omitempty"`     // in words: the panic's value, why it could not start
	ExitCode int      `cbor:"exitCode,omitempty" json:"exitCode,omitempty"` // with CauseExit
	Signal   string   `cbor:"signal,omitempty" json:"signal,omitempty"`     // with CauseSignal: "killed"
	PID      int      `cbor:"pid,omitempty" json:"pid,omitempty"`           // of its process, if it had one of its own
	Stderr   []string `cbor:"stderr,omitempty" json:"stderr,omitempty"`     // the last lines it wrote, if it had
	Final    bool     `cbor:"final,omitempty" json:"final,omitempty"`       // it asked not to be started again
}

// String says how it ended, in words that follow "it": `exited with code 3; last
// line: "no such table"`.
func (d Death) String() string { return wireDeath(d).String() }

func wireDeath(d Death) wire.Death {
	return wire.Death{Cause: wire.Cause(d.Cause), Reason: d.Reason, ExitCode: d.ExitCode, Signal: d.Signal, PID: d.PID, Stderr: d.Stderr, Final: d.Final}
}

// deathOf is the reverse of wireDeath.
func deathOf(d *wire.Death) Death {
	if d == nil {
		return Death{Cause: CauseConnection}
	}
	return Death{Cause: Cause(d.Cause), Reason: d.Reason, ExitCode: d.ExitCode, Signal: d.Signal, PID: d.PID, Stderr: d.Stderr, Final: d.Final}
}

// DownError says that the target of a call ended, and how. errors.As finds it, and
// its Error too.
type DownError struct {
	Err *Error // target, command, and what is known of the handler
	Death
}

// Error returns what happened, to whom, and the last thing it said.
func (e *DownError) Error() string {
	if e.Err == nil { // somebody has made it by hand
		return e.Death.String()
	}
	var b strings.Builder
	b.WriteString("call ")
	if e.Err.Command != "" {
		b.WriteString(e.Err.Command + " ")
	}
	fmt.Fprintf(&b, "on %q", e.Err.Target)
	if e.PID != 0 {
		fmt.Fprintf(&b, " (process, pid %d)", e.PID)
	}
	quiet := e.Death
	quiet.Stderr = nil
	b.WriteString(": " + quiet.String())
	comma := ""
	if e.Reason != "" {
		comma = "," // a reason is a sentence of its own
	}
	switch {
	case e.Cause == CauseStart:
	case e.Err.Started == StartedYes:
		b.WriteString(comma + " while handling it")
	case e.Err.Started == StartedNo:
		b.WriteString(comma + " before the handler started")
	}
	if n := len(e.Stderr); n > 0 && e.Cause != CausePanic { // which has said it in the reason, and then logged its stack
		fmt.Fprintf(&b, "; last line: %q", e.Stderr[n-1])
	}
	return b.String()
}

// Unwrap returns Err.
func (e *DownError) Unwrap() error {
	if e.Err == nil {
		return nil
	}
	return e.Err
}

// errorOf returns e as users see it: command was sent to address, whom they know as
// label.
func errorOf(e *wire.Error, address, label, command string) error {
	if e == nil {
		return nil
	}
	err := &Error{
		Code: Code(e.Code), App: e.App, Message: e.Message, Target: e.Target, Command: e.Command,
		Started: Started(e.Started), Path: e.Path,
	}
	if err.Target == "" || err.Target == address {
		err.Target = label
	}
	if err.Command == "" {
		err.Command = command
	}
	if err.Code == Down {
		return &DownError{Err: err, Death: deathOf(e.Death)}
	}
	return err
}

// handlerError returns what a handler returned as it crosses the wire. One that
// gives up because its time is up, or its caller has, says just that.
func handlerError(ctx context.Context, err error) *wire.Error {
	if over := ctx.Err(); over != nil && errors.Is(err, over) {
		code := wire.CodeCanceled
		if errors.Is(over, context.DeadlineExceeded) {
			code = wire.CodeDeadline
		}
		return wire.Errorf(code, "the handler gave up: %v", err).With(wire.StartedYes)
	}
	return wireError(err)
}

// wireError returns what a handler returned as it crosses the wire: always App,
// even if it is the error of a call the handler made; that one's code is then the
// handler's own.
func wireError(err error) *wire.Error {
	var internal *wire.Error
	if errors.As(err, &internal) {
		return internal
	}
	w := &wire.Error{Code: wire.CodeApp, Message: err.Error(), Started: wire.StartedYes}
	var e *Error
	if errors.As(err, &e) {
		w.App = e.App
		if e.Code != App {
			w.App = string(e.Code)
		}
	}
	return w
}

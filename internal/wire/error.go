package wire

import (
	"errors"
	"fmt"
	"strings"
)

// Code is one of the closed set of error codes. The package actor documents them
// for users.
type Code string

// The closed set. docs/contract.md says of each whether the handler started.
const (
	CodeApp            Code = "app"
	CodeUnknownActor   Code = "unknown_actor"
	CodeUnknownCommand Code = "unknown_command"
	CodeInvalid        Code = "invalid"
	CodeRefused        Code = "refused"
	CodeOverloaded     Code = "overloaded"
	CodeTooLarge       Code = "too_large"
	CodeNotEncodable   Code = "not_encodable"
	CodeDeadline       Code = "deadline"
	CodeCanceled       Code = "canceled"
	CodeDown           Code = "down"
	CodeCycle          Code = "cycle"
	CodeExists         Code = "exists"
	CodeVersion        Code = "version"
	CodeProtocol       Code = "protocol"
	CodeClosed         Code = "closed"
)

// Codes lists the closed set, in the order of docs/contract.md.
var Codes = []Code{
	CodeApp, CodeUnknownActor, CodeUnknownCommand, CodeInvalid, CodeRefused, CodeOverloaded,
	CodeTooLarge, CodeNotEncodable, CodeDeadline, CodeCanceled, CodeDown, CodeCycle, CodeExists,
	CodeVersion, CodeProtocol, CodeClosed,
}

// Started says what is known of the handler of a call that failed.
type Started int8

// What can be known.
const (
	StartedUnknown Started = iota // it may have started
	StartedNo                     // it certainly did not start
	StartedYes                    // it certainly started
)

// Error is an error as it crosses a connection: a code of the closed set, and
// what the caller needs to understand it.
type Error struct {
	Code    Code     `cbor:"-" json:"code"` // on the wire it stands in the header
	Started Started  `cbor:"-" json:"-"`    // likewise, as flags
	Message string   `cbor:"m,omitempty" json:"message"`
	App     string   `cbor:"a,omitempty" json:"app,omitempty"`     // the handler's own code, with CodeApp
	Target  string   `cbor:"t,omitempty" json:"target,omitempty"`  // who was called
	Command string   `cbor:"c,omitempty" json:"command,omitempty"` // with what
	Path    []string `cbor:"p,omitempty" json:"path,omitempty"`    // with CodeCycle: who waits for whom
	Death   *Death   `cbor:"d,omitempty" json:"death,omitempty"`   // with CodeDown
}

// Errorf makes an error. A message says what happened, to whom, and what to do.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// NotStarted marks e: the handler certainly did not start. It returns e.
func (e *Error) NotStarted() *Error { e.Started = StartedNo; return e }

func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Code)
	}
	return e.Message
}

// AsError returns err as an *Error: itself if it is one, else one with code.
func AsError(err error, code Code) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: code, Message: err.Error()}
}

// Flags returns what the header of an error frame says of e.
func (e *Error) Flags() Flags {
	switch e.Started {
	case StartedNo:
		return FlagNotStarted
	case StartedYes:
		return FlagStarted
	}
	return 0
}

// Cause says how an actor ended.
type Cause string

// The causes of death.
const (
	CauseStopped    Cause = "stopped"    // it was asked to stop, or its Serve returned
	CauseExit       Cause = "exit"       // its process exited by itself: see ExitCode
	CauseSignal     Cause = "signal"     // its process was killed by a signal: see Signal
	CausePanic      Cause = "panic"      // a handler or hook panicked
	CauseStart      Cause = "start"      // it never became ready
	CauseConnection Cause = "connection" // its connection was lost and nothing more is known
	CauseProtocol   Cause = "protocol"   // it broke the protocol and was cut off
	CauseHeartbeat  Cause = "heartbeat"  // it was silent for too long
	CauseHung       Cause = "hung"       // a handler outlived its budget, or the stop's
	CauseKilled     Cause = "killed"     // it was killed by request
	CauseMemory     Cause = "memory"     // it ran out of memory
	CauseFrozen     Cause = "frozen"     // it was silent for too long because its process is stopped, as by SIGSTOP
	CauseSpinning   Cause = "spinning"   // it was silent for too long while its process used the processor without a pause
)

// Death is the end of one incarnation of an actor, as told to callers and watchers.
type Death struct {
	Cause    Cause    `cbor:"c" json:"cause"`
	Reason   string   `cbor:"r,omitempty" json:"reason,omitempty"`   // in words: the panic's value, the error of the start
	ExitCode int      `cbor:"x,omitempty" json:"exitCode,omitempty"` // with CauseExit
	Signal   string   `cbor:"s,omitempty" json:"signal,omitempty"`   // with CauseSignal: "killed", "segmentation fault"
	PID      int      `cbor:"p,omitempty" json:"pid,omitempty"`      // of the process, if it had one of its own
	Stderr   []string `cbor:"e,omitempty" json:"stderr,omitempty"`   // the last lines it wrote
	Final    bool     `cbor:"f,omitempty" json:"final,omitempty"`    // it asks not to be started again
}

// String says how it ended, in words that follow "it": "exited with code 3; last
// line: \"no such table\"".
func (d Death) String() string {
	var b strings.Builder
	switch d.Cause {
	case CauseExit:
		fmt.Fprintf(&b, "exited with code %d", d.ExitCode)
	case CauseSignal:
		fmt.Fprintf(&b, "was ended by signal %q", d.Signal)
	case CausePanic:
		b.WriteString("panicked")
	case CauseStart:
		b.WriteString("could not start")
	case CauseConnection:
		b.WriteString("lost its connection")
	case CauseProtocol:
		b.WriteString("broke the protocol")
	case CauseHeartbeat:
		b.WriteString("was silent for too long")
	case CauseHung:
		b.WriteString("hung")
	case CauseKilled:
		b.WriteString("was killed")
	case CauseMemory:
		b.WriteString("ran out of memory")
	case CauseFrozen:
		b.WriteString("was frozen")
	case CauseSpinning:
		b.WriteString("spun")
	case CauseStopped:
		b.WriteString("stopped")
	default:
		fmt.Fprintf(&b, "ended (%s)", string(d.Cause))
	}
	if d.Reason != "" {
		b.WriteString(": " + d.Reason)
	}
	if n := len(d.Stderr); n > 0 && d.Cause != CausePanic { // which has said it in the reason, and then logged its stack
		fmt.Fprintf(&b, "; last line: %q", d.Stderr[n-1])
	}
	return b.String()
}

// With returns e with what is known of the handler, a copy if that is news.
func (e *Error) With(s Started) *Error {
	if e.Started == s {
		return e
	}
	c := *e
	c.Started = s
	return &c
}

// Package load measures how fast peers carry messages between processes, side by
// side: it starts a peer's processes, drives them, and compares the figures.
//
// A peer is anything that can carry a body from one process to another and a
// reply back. Each of its roles runs in an operating-system process of its own,
// which is this program started again. All sockets are on the loopback interface
// or in a temporary directory.
//
// Figures of different runs cannot be compared, since a machine is not the same
// twice. Within a run peers take turns (A B C A B C …), the figure is the median of
// the turns, and a ratio is the median of the ratios turn by turn.
package load

import (
	"context"
	"errors"
)

// Info says what a peer is.
type Info struct {
	Name   string
	About  string // one line
	Socket string // "tcp", "unix", or "process" for a Local
	Hops   int    // 2: through a hub; 1: direct; 0: within a process
	Ideal  bool   // others with the same Socket are compared with it
	Aside  bool   // it is shown, and not held to the goals

	// Missing says why there is nothing to measure yet; such a peer is listed only.
	Missing string
}

// Peer is one way to carry messages between processes. Its methods run in
// different processes and so share nothing. Hub and Echo call ready once, when
// others may connect, with the address to be given to those; they return when ctx
// ends.
type Peer interface {
	Info() Info
	// Hub is what messages pass through. Only peers with two hops have one.
	Hub(ctx context.Context, dir string, ready func(addr string)) error
	// Echo is who is asked. It hands every body to answer, in the order in which they
	// came, and replies with what that returns; nil means no reply. answer is not
	// for more than one goroutine at a time.
	Echo(ctx context.Context, at Place, answer func(body []byte) []byte, ready func(addr string)) error
	// Dial returns the asking end of the connection with the given number, from 0.
	Dial(ctx context.Context, at Place, number int) (Client, error)
}

// Place is where a peer's processes find each other.
type Place struct {
	Dir  string // a temporary directory, for unix sockets
	Hub  string // what Hub called ready with
	Echo string // what Echo called ready with; empty for the echo itself
}

// Client is the asking end of one connection.
type Client interface {
	// Ask sends body and waits for the reply. Many goroutines call it at once. body
	// is the caller's again when it returns. The reply may be put into room, which
	// is the caller's too.
	Ask(ctx context.Context, body, room []byte) (reply []byte, err error)
	// Tell sends body one way, in order with the asks of the same goroutine. body is
	// the caller's again when it returns. It may gather messages until the next Ask.
	// A peer that cannot returns ErrNoTell.
	Tell(body []byte) error
	// Close ends the connection.
	Close() error
}

// ErrNoTell is returned by the Tell of a peer that has no one-way messages.
var ErrNoTell = errors.New("this peer has no one-way messages")

// Looper is a Client that keeps asks under way without a goroutine each. One that
// is a Looper is measured as such.
type Looper interface {
	// Loop keeps n asks under way. next(slot, nil) returns the first body of a slot,
	// next(slot, reply) the following one, or nil for none; bodies and replies are
	// valid during the call. Loop returns when every slot has had its last reply.
	Loop(ctx context.Context, n int, next func(slot int, reply []byte) []byte) error
}

// Local is a way to message actors within one process.
type Local interface {
	Info() Info
	// Start starts one actor that replies with what it is asked and counts what it
	// is told.
	Start(ctx context.Context) (LocalActor, error)
	// Spawn starts n actors that wait for messages; stop ends them and waits.
	Spawn(ctx context.Context, n int) (stop func(), err error)
}

// LocalActor is an actor in this process.
type LocalActor interface {
	// Asker returns an ask for the use of one goroutine.
	Asker() func(ctx context.Context, v int64) (int64, error)
	// Tell sends v one way. It waits while the actor's inbox is full.
	Tell(ctx context.Context, v int64) error
	// Told returns how many messages the actor was told, when it has handled all
	// that were sent before.
	Told(ctx context.Context) (int64, error)
	// Stop ends the actor and waits for it.
	Stop()
}

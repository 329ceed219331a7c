package actor

import "fmt"

// Account is what became of the messages that an actor, or all actors of an arbiter,
// were sent: each one is in exactly one of the parts, so that
//
//	Accepted = Started + Refused + DeadLetters + Withdrawn + Lost + Queued
//
// which is exact when all is quiet. What an actor elsewhere has begun it tells with
// its credits and heartbeats; what a peer without windows was written counts as
// started. A message to all workers of a pool is one for each.
type Account struct {
	Accepted    uint64 `cbor:"accepted" json:"accepted"`
	Started     uint64 `cbor:"started" json:"started"`         // handlers that began
	Refused     uint64 `cbor:"refused" json:"refused"`         // calls whose callers were told that the handler did not start
	DeadLetters uint64 `cbor:"deadLetters" json:"deadLetters"` // one-way messages that came back, or lost their target on the way
	Withdrawn   uint64 `cbor:"withdrawn" json:"withdrawn"`     // calls that were canceled, or out of time, before they started
	Lost        uint64 `cbor:"lost" json:"lost"`               // what a target that ended had and, as far as is known, had not started: its callers and watchers were told
	Queued      uint64 `cbor:"queued" json:"queued"`           // on the way, or in an inbox
}

// Plus returns the sum of both.
func (a Account) Plus(b Account) Account {
	a.Accepted += b.Accepted
	a.Started += b.Started
	a.Refused += b.Refused
	a.DeadLetters += b.DeadLetters
	a.Withdrawn += b.Withdrawn
	a.Lost += b.Lost
	a.Queued += b.Queued
	return a
}

// Balanced reports whether every accepted message is in one of the parts.
func (a Account) Balanced() bool {
	return a.Accepted == a.Started+a.Refused+a.DeadLetters+a.Withdrawn+a.Lost+a.Queued
}

// String is the account as a sum.
func (a Account) String() string {
	return fmt.Sprintf("%d accepted = %d started + %d refused + %d dead letters + %d withdrawn + %d lost + %d queued",
		a.Accepted, a.Started, a.Refused, a.DeadLetters, a.Withdrawn, a.Lost, a.Queued)
}

// Package peer is one end of one connection in the native profile: the handshake,
// the reader, the outbox with its classes and credit windows, the calls in flight,
// the heartbeat and the end. An arbiter's session and an actor that joined use the
// same Conn.
//
// What it promises:
//
//   - Messages of one class leave in the order they were posted; Control passes
//     ahead of replies, and replies ahead of data.
//   - Post, Request, Flush and Credit never wait for the other end, whatever it
//     does. What it does not read is held within bounds, beyond which posts are
//     refused. PostWait and RequestWait are for ends that may wait.
//   - Data is sent only within the window the other end grants; the room a
//     forwarded message takes in its sender's window (a Charge) is given back
//     exactly once, when the message was written or dropped.
//   - Every call that was added to a Calls ends in exactly one Result, Failed or
//     Forward, or in its part of one ForwardRun, or is taken out by who added it.
//   - What came together and is for one target, or is replies, is handled together
//     (Run), by who can; nothing is waited for.
//   - When Run returns, every goroutine of its Conn has ended.
//
// A connection at rest holds one goroutine, which reads, and one timer. Whoever
// posts also writes, by Flush, as far as the kernel takes it without waiting; a
// goroutine goes on only when it takes no more.
//
// Locks, outermost first: outbox.mu, Calls.mu. Neither is held over a write, a
// callback, or anything of another Conn.
package peer

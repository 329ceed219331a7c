// Package frame reads and writes the frames of RFC 6455, masked and unmasked.
//
// It knows nothing of the HTTP handshake and has no policy about what messages
// mean: it never answers a ping, never closes anything and writes to nobody. The
// raw profiles use the frames without a mask in either direction; a real
// websocket client masks what it sends.
//
// What it guarantees:
//
//   - A length is checked against the limit before anything is allocated for it,
//     and even within the limit no more than 1 MiB is allocated on faith: beyond
//     that, memory grows with the bytes that have really arrived.
//   - Reading or writing a header allocates nothing, and neither does reading
//     messages in the long run: small ones are views into the reader's buffer,
//     large ones share one buffer.
//   - A reader at rest holds 4 KiB.
//   - What the RFC calls a violation is an *Error that says why and carries the
//     close code to answer with.
package frame

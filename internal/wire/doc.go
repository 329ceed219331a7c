// Package wire holds the messages that cross a connection, as bytes: the native
// profile's header and handshake, the codecs of bodies, the closed set of error
// codes and the causes of death.
//
// It holds no policy and no state. Everything here is a pure function of bytes,
// may be called from any goroutine, and never keeps a slice it was given, but for Memory: what
// Parse returns points into the caller's buffer and is valid as long as that is.
// docs/protocol.md draws the same bytes for people who write a client.
package wire

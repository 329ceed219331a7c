// Package oracles has nothing but tests: they have package frame and two other
// implementations of RFC 6455, github.com/gobwas/ws and github.com/coder/websocket,
// read and write the same bytes, and want them to agree. It is a module of its own so
// that nobody who uses the arbiter depends on those.
//
//	go test .                                         some thousand streams, always the same
//	go test . -run TestStreams -streams 1000000 -seed 7
//	go test . -fuzz FuzzGobwas                        until it is stopped; see the others too
package oracles

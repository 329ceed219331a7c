// Package websocket takes actors by websocket (RFC 6455), so that a web browser can be
// one. They speak the json profile, which docs/json.md describes: whatever can open
// a websocket calls actors and answers them.
//
// A Handler is mounted in a server of the program's own:
//
//	mux.Handle("/actors", websocket.New(arb, websocket.Options{}))
//
// or the arbiter's TCP listener takes websockets beside everything else:
//
//	arbiter.Start(ctx, arbiter.Options{Listen: "127.0.0.1:7978", Token: token, HTTP: websocket.Serve})
//
// A page of a foreign origin is refused before the handshake, since a browser connects
// for any page to any server it can reach, also to one on the user's own machine. And
// who joins says the arbiter's token in its hello, unless Options.Open.
package websocket

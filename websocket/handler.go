package websocket

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/arbiter-go/arbiter"
)

const (
	// requestWait is how long the HTTP request of a connection may take, and its answer.
	requestWait = 5 * time.Second
	// maxRequest is how many bytes it may have.
	maxRequest = 16 << 10
)

// Options say who may join. The zero value takes pages of the same origin, and
// whoever is no browser, with the arbiter's token.
type Options struct {
	// Origins are pages that may connect, beside those that come from the same host
	// and port as the websocket: "https://example.com", without a path; "null" for
	// those of no origin, such as files; "*" for all. What sends no Origin is no
	// browser, and is not asked. Default: none.
	Origins []string
	// Open says that the hello needs no token: whoever reaches the handler may command
	// every actor. It is for a handler behind something that knows who comes.
	Open bool
}

// Handler serves websockets. It may be used by any number of goroutines.
type Handler struct {
	arb     *arbiter.Arbiter
	options Options
}

// New returns a Handler by which actors join arb.
func New(arb *arbiter.Arbiter, o Options) *Handler { return &Handler{arb, o} }

// Serve serves the connection c, on which an HTTP request has begun, until it ends. It
// is what arbiter.Options.HTTP is made for.
func Serve(arb *arbiter.Arbiter, c net.Conn) { New(arb, Options{}).ServeConn(c) }

// ServeHTTP makes a websocket of the request's connection and serves the actor at its
// other end until that has ended. The connection is the arbiter's then: Stop ends it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	accept, refused := h.check(r)
	if refused != nil {
		refused.header(w.Header())
		http.Error(w, refused.text, refused.status)
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this server cannot let go of a connection: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h.serve(c, buffered.Reader, accept)
}

// ServeConn reads an HTTP request from c and serves it as ServeHTTP does. It closes c.
func (h *Handler) ServeConn(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(requestWait))
	b := bufio.NewReader(io.LimitReader(c, maxRequest))
	r, err := http.ReadRequest(b)
	if err != nil {
		_ = c.Close() // it speaks no HTTP, or too slowly
		return
	}
	accept, refused := h.check(r)
	if refused == nil {
		h.serve(c, b, accept)
		return
	}
	header := make(http.Header)
	refused.header(header)
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Connection", "close")
	fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", refused.status, http.StatusText(refused.status), len(refused.text)+1)
	_ = header.Write(c)
	fmt.Fprintf(c, "\r\n%s\n", refused.text)
	_ = c.Close()
}

// serve answers the handshake and hands c over. What b has read is the actor's.
func (h *Handler) serve(c net.Conn, b *bufio.Reader, accept string) {
	_ = c.SetDeadline(time.Now().Add(requestWait))
	_, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept)
	if err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	early, _ := b.Peek(b.Buffered())
	h.arb.ServeWebsocket(c, append([]byte{}, early...), !h.options.Open)
}

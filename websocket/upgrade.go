package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// refusal is the answer to a request that does not become a websocket.
type refusal struct {
	status int
	text   string
}

// header adds what the answer needs beside its text.
func (r *refusal) header(h http.Header) {
	switch r.status {
	case http.StatusUpgradeRequired:
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		h.Set("Sec-WebSocket-Version", "13")
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	}
}

// check returns the answer to the key of a client's handshake (RFC 6455 §4.2), or why
// there is none.
func (h *Handler) check(r *http.Request) (accept string, refused *refusal) {
	switch {
	case r.Method != http.MethodGet:
		return "", &refusal{http.StatusMethodNotAllowed, "a websocket begins with GET"}
	case !lists(r.Header, "Connection", "upgrade") || !lists(r.Header, "Upgrade", "websocket"):
		return "", &refusal{http.StatusUpgradeRequired, "this is an arbiter: actors join it by websocket, in the json profile"}
	case !r.ProtoAtLeast(1, 1):
		return "", &refusal{http.StatusBadRequest, "a websocket begins with HTTP/1.1"}
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return "", &refusal{http.StatusUpgradeRequired, "the version of the websocket protocol is 13"}
	}
	key := r.Header.Get("Sec-WebSocket-Key")
	if nonce, err := base64.StdEncoding.DecodeString(key); err != nil || len(nonce) != 16 {
		return "", &refusal{http.StatusBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64"}
	}
	if !h.allowed(r) {
		return "", &refusal{http.StatusForbidden, "pages of the origin " + r.Header.Get("Origin") + " may not connect here: see Options.Origins of the handler"}
	}
	return acceptOf(key), nil
}

// acceptOf is the answer to key, by which a client knows that it was understood (RFC
// 6455 §1.3).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// allowed reports whether the page that asks may connect.
func (h *Handler) allowed(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true // no browser
	}
	if len(origins) > 1 {
		return false
	}
	origin := origins[0]
	if slices.ContainsFunc(h.options.Origins, func(o string) bool { return o == "*" || strings.EqualFold(o, origin) }) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// lists reports whether the header name has token in its list, in any case.
func lists(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

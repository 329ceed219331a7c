//go:build unix

package conformance

import (
	"context"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// TestAnotherLanguageToTheLetter: who says hello as docs/another-language.md has it, and
// calls from a handler as it says there, is told of a wait that could never end.
func TestAnotherLanguageToTheLetter(t *testing.T) {
	page, err := os.ReadFile("../../docs/another-language.md")
	if err != nil {
		t.Fatal(err)
	}
	step := regexp.MustCompile(`(?s)\*\*Say hello\*\*.*?\n3\. `).Find(page)
	if step == nil {
		t.Fatal("the page does not say how to say hello")
	}
	hello := map[string]any{"command": "hello", "kind": "literal", "token": "secret"}
	for _, pair := range regexp.MustCompile("`\"(\\w+)\": \"(\\w+)\"`").FindAllSubmatch(step, -1) {
		hello[string(pair[1])] = string(pair[2])
	}
	arb, err := arbiter.Start(context.Background(), arbiter.Options{
		Name: "page", Listen: "127.0.0.1:0", Token: "secret", Logger: slog.New(slog.DiscardHandler),
		Heartbeat: time.Minute, HeartbeatTimeout: 3 * time.Minute, // no ping comes between
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var conn net.Conn
	for _, a := range arb.Addresses() {
		if address, ok := strings.CutPrefix(a, "tcp:"); ok {
			if conn, err = net.Dial("tcp", address); err != nil {
				t.Fatal(err)
			}
		}
	}
	defer conn.Close()
	k := &talking{T: t, conn: conn, names: map[string]any{}, frames: make(chan received, 1024)}
	go k.read()
	k.send(hello)
	aid, _ := k.message()["aid"].(string)
	asked := make(chan error, 1)
	go func() {
		_, err := actor.Call[int](arb.Context(context.Background()), aid, "ask")
		asked <- err
	}()
	request := k.message()
	k.send(map[string]any{"command": "echo", "target": aid, "ack": "own", "parent": request["ack"]})
	want := map[string]any{"command": "callback", "ack": "own", "error": map[string]any{"code": "cycle"}}
	if m := k.message(); !k.like(want, m) {
		t.Errorf("a call to itself: %v", m)
	}
	k.send(map[string]any{"command": "callback", "ack": request["ack"], "result": 1})
	if err := <-asked; err != nil {
		t.Error(err)
	}
}

package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// chromium returns a browser that needs no screen, or skips the test.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("neither chromium nor google-chrome is installed: the page was not tried in a browser")
	return ""
}

// TestPage has a browser open the page, presses its buttons by calling it, and reads
// what they do.
func TestPage(t *testing.T) {
	browser := chromium(t)
	arb, err := arbiter.Start(t.Context(), arbiter.Options{Name: "test", Token: "secret", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer arb.Stop(context.Background())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(arb.Context(context.Background()), 90*time.Second)
	defer cancel()
	served := make(chan error, 1)
	came := make(chan actor.Ref, 2)
	go func() { served <- serve(ctx, arb, l, func(page actor.Ref) { came <- page }) }()

	r, err := http.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	html, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || !strings.Contains(string(html), "<title>") {
		t.Fatalf("the page is %q, %v", html, err)
	}

	profile, err := os.MkdirTemp("", "browser-*")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		// Its processes write for a moment longer than it lives.
		for end := time.Now().Add(10 * time.Second); os.RemoveAll(profile) != nil; <-time.After(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%s cannot be removed: somebody still writes there", profile)
				return
			}
		}
	}()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+profile, "--remote-debugging-port=0", "http://"+l.Addr().String()+"/#secret")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var page actor.Ref
	select {
	case page = <-came:
	case <-ctx.Done():
		t.Fatal("no page has joined")
	}
	for _, test := range []struct{ keys, want string }{{"6×7=", "42"}, {"C1÷0=", "nothing can be divided by zero"}, {"C1.5+2×2=", "7"}} {
		if got, err := Press.Call(ctx, page, test.keys); got != test.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", test.keys, got, err, test.want)
		}
	}
	if n, err := Show.Call(ctx, page, "the end"); n != 4 || err != nil {
		t.Errorf("the tape has %d lines, %v, want 4", n, err)
	}
	ended := make(chan actor.Ended, 1)
	if _, err := actor.Watch(ctx, page, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		t.Fatal(err)
	}
	if _, err := actor.StopActor.Call(ctx, actor.Arbiter, page); err != nil {
		t.Error(err)
	}
	if e := <-ended; e.Cause != actor.CauseStopped {
		t.Errorf("the page ended with %+v", e)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

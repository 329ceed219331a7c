//go:build linux

package arbiter_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// A host that starts two process actors for each line, one of them with the help of a
// starter, and says what their command lines are, or why it could not.
func init() {
	acts["upgraded"] = func(string) {
		ctx := context.Background()
		arb, err := arbiter.Start(ctx, arbiter.Options{Child: child, Output: io.Discard, Logger: quiet})
		if err != nil {
			panic(err)
		}
		ctx = arb.Context(ctx)
		umask := 0o077
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			for _, bounds := range []actor.Bounds{{}, {Umask: &umask}} {
				ref, err := arb.Spawn(ctx, Victim, actor.Process(), actor.Name("v"), actor.Bound(bounds))
				line := ""
				if err == nil {
					line, err = Do.Call(ctx, ref, `tr '\0' ' ' < /proc/$PPID/cmdline`)
				}
				if _, stopErr := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("v")); err == nil {
					err = stopErr
				}
				fmt.Printf("%s %v\n", line, err)
			}
		}
		if err := arb.Stop(ctx); err != nil {
			panic(err)
		}
	}
}

// TestUpgrade: process actors are of the version of their arbiter, also when another
// program has taken its file's name since, or nobody has it any more.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "prog"), filepath.Join(dir, "other")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", exe, path).CombinedOutput(); err != nil { // whoever writes it is no parent of others meanwhile
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("sh", "-c", `printf '#!/bin/sh\nexit 7\n' > "$0"; chmod +x "$0"`, other).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	old := actFrom(t, path, "upgraded")
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"as it was", func() error { return nil }},
		{"replaced", func() error { return os.Rename(other, path) }},
		{"removed", func() error { return os.Remove(path) }},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintln(old.in)
		for range 2 {
			if got := strings.Join(strings.Fields(old.line()), " "); got != "prog: v <nil>" {
				t.Errorf("%s: %s", change.name, got)
			}
		}
	}
}

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
	"testing"

	"github.com/arbiter-go/arbiter"
)

// A program that starts an arbiter with each pid file it is told of, says whether it
// could, and stops it when it is told so.
func init() {
	acts["pid files"] = func(string) {
		ctx := context.Background()
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			arb, err := arbiter.Start(ctx, arbiter.Options{Name: "test", PIDFile: in.Text(), Logger: quiet})
			fmt.Println(err == nil)
			if in.Scan(); err == nil {
				_ = arb.Stop(ctx)
			}
			fmt.Println("stopped")
		}
	}
}

// TestPIDFileOnce: of those that find the file of a dead process at the same time one
// has it.
func TestPIDFileOnce(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Skipf("there is no program called true: %v", err)
	}
	type rival struct {
		in  io.WriteCloser
		out *bufio.Scanner
	}
	rivals := make([]rival, 4)
	for n := range rivals {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), envActs+"=pid files")
		cmd.Stderr = os.Stderr
		in, _ := cmd.StdinPipe()
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer in.Close()
		rivals[n] = rival{in, bufio.NewScanner(out)}
	}
	all := func(text string) (said []string) {
		for _, r := range rivals {
			_, _ = fmt.Fprintln(r.in, text)
		}
		for _, r := range rivals {
			if !r.out.Scan() {
				t.Fatal("one has ended")
			}
			said = append(said, r.out.Text())
		}
		return said
	}
	dir := t.TempDir()
	for round := range 50 {
		path := filepath.Join(dir, fmt.Sprint(round))
		if err := os.WriteFile(path, fmt.Appendln(nil, dead.Process.Pid), 0o644); err != nil {
			t.Fatal(err)
		}
		have := 0
		for _, said := range all(path) {
			if said == "true" {
				have++
			}
		}
		if have != 1 {
			t.Errorf("round %d: %d have the file", round, have)
		}
		all("stop")
	}
}

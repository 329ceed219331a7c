package arbiter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// TestMainEndsWithItsArbiter: who asks the arbiter to stop ends the program that runs it,
// though its run waits for nothing but the end of ctx.
func TestMainEndsWithItsArbiter(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	code := runMain(func(ctx context.Context, arb *Arbiter) error {
		if err := actor.Stop.Send(ctx, actor.To("arbiter"), actor.None{}); err != nil {
			t.Errorf("stop: %v", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			t.Error("the arbiter has been asked to stop, and ctx goes on")
			return nil
		}
	}, Options{Control: controlSupported})
	if code != 0 {
		t.Errorf("it exits with %d", code)
	}
}

// envDeaf makes this program one whose run does not watch its ctx, but is asked to stop.
const envDeaf = "ARBITER_TEST_DEAF"

func init() {
	if os.Getenv(envDeaf) == "" {
		return
	}
	farewell := &actor.Kind[actor.None]{Name: "farewell", Stopping: func(actor.None, context.Context) { fmt.Println("farewell") }}
	os.Exit(runMain(func(ctx context.Context, arb *Arbiter) error {
		if _, err := arb.Spawn(ctx, farewell); err != nil {
			return err
		}
		if os.Getenv(envDeaf) == "command" {
			_ = actor.Stop.Send(ctx, actor.To("arbiter"), actor.None{})
		}
		fmt.Println("deaf")
		select {}
	}, Options{StopTimeout: 500 * time.Millisecond}))
}

// TestMainOfTheDeaf: a run that does not return when its ctx ends is left, which is said, and the
// arbiter is stopped in order.
func TestMainOfTheDeaf(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{"signal", "command"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, exe)
			cmd.Env = append(os.Environ(), envDeaf+"="+by)
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for s := bufio.NewScanner(out); s.Scan(); {
				if lines = append(lines, s.Text()); by == "signal" && s.Text() == "deaf" {
					if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
						t.Error(err)
					}
				}
			}
			err = cmd.Wait()
			if own := (*exec.ExitError)(nil); !errors.As(err, &own) || own.ExitCode() != 1 {
				t.Errorf("it ended with %v, want the code 1", err)
			}
			if !strings.Contains(said.String(), "has not returned after 500ms: it is to return when its ctx ends") {
				t.Errorf("it said %q", said.String())
			}
			if text := strings.Join(lines, " "); !strings.Contains(text, "farewell") {
				t.Errorf("its actors were not stopped as they should: it printed %q", text)
			}
		})
	}
}

// TestNilKindOfMain: a kind that is nil is told where it was given.
func TestNilKindOfMain(t *testing.T) {
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "Main or Child number 2 is nil") {
			t.Errorf("%s", text)
		}
	}()
	Child(worker, nil)
}

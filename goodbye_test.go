//go:build linux

package arbiter_test

import (
	"errors"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/supervise"
)

// inherited has a program of these tests say hello over the socket it was given, and that
// it is ready.
func inherited(kind string, commands ...any) (*puppet, *frame.Reader) {
	fd, err := strconv.Atoi(os.Getenv(actor.EnvFD))
	if err != nil {
		panic(err)
	}
	c, err := net.FileConn(os.NewFile(uintptr(fd), "socket"))
	if err != nil {
		panic(err)
	}
	p := &puppet{c: c}
	p.say(map[string]any{"command": "hello", "kind": kind, "commands": append([]any{}, commands...)})
	frames := frame.NewReader(c, frame.Options{TextUTF8: true, Limit: 1 << 20})
	if _, err := p.read(frames); err != nil {
		panic(err)
	}
	p.say(map[string]any{"command": "notify"})
	return p, frames
}

// A program that crashes as soon as it is ready, and says in its goodbye whatever it
// likes.
func init() {
	acts["liar"] = func(cause string) {
		p, _ := inherited("liar")
		p.goodbye(map[string]any{"cause": cause})
		os.Exit(3)
	}
}

// TestLyingGoodbye: that it was killed is not for an actor to say. One that says so is
// not started again at once and without end, as one that was killed by command is.
func TestLyingGoodbye(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	policy := supervise.Policy{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond, MaxCrashes: 3, Within: time.Minute}
	_, _ = w.arb.SpawnProgram(w.ctx, exe, nil, actor.Name("liar"), actor.Restart(policy), actor.Env(envActs+"=liar", envExtra+"=killed"))
	eventually(t, "its supervisor gives up", func() bool { return w.inspect(t, actor.To("liar")).Info.State == "failed" })
	d := w.inspect(t, actor.To("liar")).Death
	if d == nil || d.Cause != actor.CauseExit || d.ExitCode != 3 {
		t.Errorf("it ended with %+v, want what its exit says", d)
	}
}

// TestSendsToWhoLeaves: from its goodbye, or from when it is killed, to the end of its process, what is sent
// to it is told that it is down, and why: there is no room to wait for, and nothing is wrong with who sends.
func TestSendsToWhoLeaves(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	told := make(map[string]int)
	for n := range 40 {
		v := w.spawn(Victim, actor.Process())
		want, ended := actor.CauseStopped, make(chan error, 1)
		if n%2 == 0 {
			if err := Retire.Send(w.ctx, v, actor.None{}); err != nil {
				t.Fatal(err)
			}
			close(ended)
		} else {
			want = actor.CauseKilled
			go func() {
				_, err := actor.KillActor.Call(w.ctx, actor.Arbiter, v)
				ended <- err
			}()
		}
		var down *actor.DownError
		for tries := 0; tries < 100; {
			err := Noted.Send(w.ctx, v, actor.None{})
			switch {
			case err == nil:
			case errors.As(err, &down) && down.Cause == want:
				tries++
			default:
				told[err.Error()]++
				tries++
			}
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for text, n := range told {
		t.Errorf("%d times: %s", n, text)
	}
}

package arbiter_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// A lodger says where it lives.
var (
	Where  = actor.NewCommand[actor.None, lodging]("where")
	Lodger = &actor.Kind[actor.None]{Name: "lodger", Handlers: []actor.Handler[actor.None]{
		actor.Handle(Where, func(_ actor.None, ctx context.Context, _ actor.None) (lodging, error) {
			actor.Logger(ctx).Info("somebody asks where it lives")
			dir, err := os.Getwd()
			return lodging{actor.ConnectionOf(ctx), dir, os.Getpid()}, err
		}),
	}}
)

type lodging struct {
	Connection actor.Connection
	Dir        string
	PID        int
}

// TestNowhere: outside of an actor there is a logger all the same, and no connection; nor is there
// one of a member that has not joined.
func TestNowhere(t *testing.T) {
	ctx := context.Background()
	if l := actor.Logger(ctx); l != slog.Default() {
		t.Errorf("the logger outside of an actor is %v", l)
	}
	m := actor.NewMember("unix:/nowhere", Lodger, actor.JoinOptions{Logger: quiet})
	defer m.Close()
	for what, ctx := range map[string]context.Context{"outside of an actor": ctx, "before it has joined": m.Context(ctx)} {
		if c := actor.ConnectionOf(ctx); c != (actor.Connection{}) {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

// TestConnectionOf: each actor knows what carries its messages, and has a logger that names it, in
// every place.
func TestConnectionOf(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	where := func(ref actor.Ref) lodging {
		t.Helper()
		l, err := Where.Call(w.ctx, ref, actor.None{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := where(w.spawn(Lodger, actor.Name("inside"))); l.Connection != (actor.Connection{}) || l.PID != os.Getpid() {
		t.Errorf("a goroutine: %+v", l)
	}
	if !strings.Contains(w.log.String(), `msg="somebody asks where it lives" actor=inside`) {
		t.Errorf("the log of the arbiter: %s", w.log)
	}
	own := w.spawn(Lodger, actor.Process(), actor.Name("own"))
	if l := where(own); l.Connection.Profile != "native" || l.Connection.Transport != "socketpair" || l.PID == os.Getpid() {
		t.Errorf("a process: %+v", l)
	}
	eventually(t, "the process has logged", func() bool {
		lines, err := actor.Logs.Call(w.ctx, actor.Arbiter, actor.LogsArgs{Target: "own"})
		return err == nil && len(lines.Lines) == 1 && strings.HasSuffix(lines.Lines[0].Text, "somebody asks where it lives actor=own")
	})
	for _, transport := range []string{"tcp", "unix"} {
		m := actor.NewMember(w.address(transport), Lodger, actor.JoinOptions{Token: "secret", Logger: quiet})
		defer m.Close()
		l := where(joinedAs(t, m))
		if l.Connection.Profile != "native" || l.Connection.Transport != transport || l.Connection != m.Connection() {
			t.Errorf("over %s: %+v, %+v", transport, l, m.Connection())
		}
		if tcp := strings.Contains(w.address(transport), l.Connection.Peer); transport == "tcp" && (!tcp || l.Connection.Peer == "") {
			t.Errorf("over %s to %q, not to %s", transport, l.Connection.Peer, w.address(transport))
		}
	}
}

// TestDir: a process runs where it is to, or is not started: a directory that is not there is told
// by its name, and goroutines have none of their own.
func TestDir(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(dir, "gone")
	var down *actor.DownError
	if _, err := w.arb.Spawn(w.ctx, Lodger, actor.Process(), actor.Dir(gone)); !errors.As(err, &down) || down.Cause != actor.CauseStart || !strings.Contains(err.Error(), gone) {
		t.Errorf("in a directory that is not there: %v", err)
	}
	if _, err := w.arb.Spawn(w.ctx, Lodger, actor.Dir(dir)); !errors.Is(err, actor.ErrInvalid) || !strings.Contains(err.Error(), "a goroutine has no limits, directory") {
		t.Errorf("a goroutine: %v", err)
	}
	if l, err := Where.Call(w.ctx, w.spawn(Lodger, actor.Process(), actor.Dir(dir)), actor.None{}); err != nil || l.Dir != dir {
		t.Errorf("it runs in %q, not in %q: %v", l.Dir, dir, err)
	}
}

//go:build linux

package arbiter_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/wire"
)

const (
	// thriftyLimit is GOMEMLIMIT of the arbiter of TestMemoryBudget, and thriftyBudget what
	// follows from that. thriftyRest is what its process may take beside its budget: as
	// much again for the garbage collector, which GOMEMLIMIT holds to that as well as it can,
	// and 64 MiB for the program, its connections and what handlers are at work on.
	thriftyLimit  = 128 << 20
	thriftyBudget = thriftyLimit / 2
	thriftyRest   = thriftyBudget + 64<<20
)

// thrifty is an arbiter with little memory and an actor: it prints where it can be joined.
func thrifty() {
	arb, err := arbiter.Start(context.Background(), arbiter.Options{
		Name: "thrifty", Listen: "127.0.0.1:0", Token: "secret", HeartbeatTimeout: time.Minute,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	for _, name := range []string{"tally", "printer"} {
		if err == nil {
			_, err = arb.Spawn(arb.Context(context.Background()), Subject, actor.Name(name))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(strings.TrimPrefix(arb.Addresses()[0], "tcp:"))
	<-arb.Done()
}

// peakMemory returns how many bytes a process has had in memory at most.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// TestMemoryBudget: forty targets that do not read are flooded with all sizes of messages, and
// forty callers ask for large results and read none, which would take some gigabytes. The
// arbiter's process stays within its budget and what is stated above, and those who
// have nothing to do with it are served: not one of their calls fails.
func TestMemoryBudget(t *testing.T) {
	const each = 40
	cmd, out := scene(t, "thrifty", newMark(), "GOMEMLIMIT="+strconv.Itoa(thriftyLimit))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("it did not say where it is")
	}
	address := lines.Text()

	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	join := func(kind actor.Behaviour) (context.Context, actor.Ref) {
		m := actor.NewMember("tcp:"+address, kind, actor.JoinOptions{Token: "secret", Logger: quiet})
		t.Cleanup(func() { m.Close() })
		ref, err := m.Ref(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return m.Context(ctx), ref
	}
	var served atomic.Int64
	caller, _ := join(Caller)
	_, server := join(Mirror)
	tally := actor.To("tally")
	ask := func() {
		if n, err := Double.Call(caller, tally, 4); n != 8 || err != nil {
			t.Errorf("who has nothing to do with it is told %d, %v", n, err)
		}
		if b, err := Bytes.Call(caller, server, make([]byte, 1000)); len(b) != 1000 || err != nil {
			t.Errorf("who has nothing to do with it gets %d bytes, %v", len(b), err)
		}
		served.Add(2)
	}
	ask()

	over, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	dial := func(name string) *enemy {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		e := &enemy{c: c}
		h := &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "enemy", Name: name, Token: "secret", Inbox: wire.Window{Messages: 1 << 30, Bytes: 1 << 40}}
		m, err := h.Message()
		if err != nil || !e.send(m) || !e.send(wire.Message{Kind: wire.KindNotify}) {
			t.Fatalf("%s could not join: %v", name, err)
		}
		return e
	}
	var refused atomic.Int64
	for n := range each {
		name := fmt.Sprint("stuck", n)
		dial(name)
		// A flooder that waits for room goes on as another one: else its window would
		// hold it up.
		size := [...]int{100, 60 << 10, 1 << 20, 12 << 20}[n%4]
		all.Go(func() {
			for range 3 {
				m := actor.NewMember("tcp:"+address, Caller, actor.JoinOptions{Token: "secret", Logger: quiet})
				from := m.Context(over)
				for over.Err() == nil {
					limited, cancel := context.WithTimeout(from, 200*time.Millisecond)
					err := Swallow.Send(limited, actor.To(name), make([]byte, size))
					cancel()
					if err != nil {
						if errors.Is(err, actor.ErrOverloaded) {
							refused.Add(1)
						}
						break
					}
				}
				all.Go(func() { <-over.Done(); m.Close() })
			}
		})
		deaf := dial("")
		all.Go(func() {
			body, err := wire.Encode(wire.CodecCBOR, nil, 1<<20)
			if err != nil {
				t.Error(err)
			}
			for range 300 {
				m := deaf.request("printer", "big", body)
				m.Codec = wire.CodecCBOR
				if !deaf.send(m) {
					return // it was cut off
				}
			}
		})
		defer context.AfterFunc(over, func() { deaf.c.Close() })()
	}

	memory := func() actor.Memory {
		in, err := actor.InspectActor.Call(caller, actor.Arbiter, actor.Arbiter)
		if err != nil || in.Memory == nil {
			t.Fatalf("inspect: %v", err)
		}
		return *in.Memory
	}
	var most int64
	began := time.Now()
	for before := served.Load(); served.Load() < before+200 || time.Since(began) < 2*time.Second || memory().Refused == 0; {
		ask()
		if served.Load()%20 == 0 {
			most = max(most, memory().Held)
		}
		if t.Failed() || ctx.Err() != nil {
			break
		}
	}
	took := time.Since(began)
	m, peak := memory(), peakMemory(t, cmd.Process.Pid)
	t.Logf("held %d MiB at most, of %d; refused %d times; the process had %d MiB at most; %d calls of others in %v",
		most>>20, m.Budget>>20, m.Refused, peak>>20, served.Load(), took.Round(time.Millisecond))
	if m.Budget != thriftyBudget {
		t.Errorf("the budget is %d, of a limit of %d", m.Budget, thriftyLimit)
	}
	if most > thriftyBudget {
		t.Errorf("%d bytes are held, and the budget is %d", most, thriftyBudget)
	}
	if most < thriftyBudget/2 {
		t.Errorf("only %d bytes were held: nothing was shown", most)
	}
	if peak > thriftyBudget+thriftyRest && !raceEnabled { // the race detector has memory of its own
		t.Errorf("the process had %d bytes, more than %d", peak, thriftyBudget+thriftyRest)
	}
}

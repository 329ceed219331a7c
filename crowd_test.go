package arbiter_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

var (
	crowd     = flag.Int("crowd", 3, "hostile peers at a time of TestHostileCrowd")
	crowdTime = flag.Duration("crowd-time", 200*time.Millisecond, "how long each of them is at it")
	leftOpen  = flag.Int("left", 400, "connections that are opened and left; two descriptors each")
)

// enemy is one hostile connection. Nothing that it cannot do fails a test.
type enemy struct {
	c net.Conn
	n uint64
}

func (e *enemy) write(b []byte) bool { _, err := e.c.Write(b); return err == nil }
func (e *enemy) send(m wire.Message) bool {
	return e.write(frame.AppendFrame(nil, frame.Binary, m.Append(nil)))
}

// join says hello, and does not wait for the answer.
func (e *enemy) join(name string) bool {
	h := &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "enemy", Name: name, Token: "secret", Inbox: wire.Window{Messages: 1000, Bytes: 1 << 20}}
	m, err := h.Message()
	return err == nil && e.send(m) && e.send(wire.Message{Kind: wire.KindNotify})
}

func (e *enemy) joinJSON() bool {
	return e.write(frame.AppendFrame(nil, frame.Text, []byte(`{"command":"hello","kind":"enemy","token":"secret"}`)))
}

// read reads until the end.
func (e *enemy) read() {
	var b [4096]byte
	for {
		if _, err := e.c.Read(b[:]); err != nil {
			return
		}
	}
}

// flood writes b again and again, and reads meanwhile.
func (e *enemy) flood(b []byte) {
	many := []byte(strings.Repeat(string(b), 16<<10/len(b)))
	go func() {
		for e.write(many) {
		}
	}()
	e.read()
}

func (e *enemy) request(target, command string, body []byte) wire.Message {
	e.n++
	return wire.Message{Kind: wire.KindRequest, ID: e.n, Target: []byte(target), Command: []byte(command), Codec: wire.CodecRaw, Body: body}
}

// attacks are what an enemy can do.
var attacks = []struct {
	name string
	do   func(e *enemy)
	cuts bool // the arbiter ends it, and not only the enemy does
	once bool // it is not done again when it is over
}{
	{"garbage", func(e *enemy) { e.write([]byte("\xff\xfe\xfd")); e.read() }, true, false},
	{"half a hello", func(e *enemy) { e.write([]byte("\x82\x24\x01\x00\x01")); e.read() }, false, true},
	{"a name of another", func(e *enemy) { e.join("tally"); e.read() }, true, false},
	{"forged replies", func(e *enemy) { e.join(""); e.send(wire.Message{Kind: wire.KindReply, ID: 5}); e.read() }, true, false},
	{"credits for what was never sent", func(e *enemy) {
		var buf [16]byte
		e.join("")
		e.send(wire.Credit{Messages: 1 << 40, Bytes: 1 << 50}.Message(&buf))
		e.read()
	}, true, false},
	{"requests beyond the window", func(e *enemy) {
		e.join("")
		body := make([]byte, 512<<10)
		for e.send(e.request("victim", "block", body)) {
		}
		e.read()
	}, true, false},
	{"a flood of pings", func(e *enemy) { e.join(""); e.flood(frame.AppendFrame(nil, frame.Ping, nil)) }, true, false},
	{"a flood of pings, json", func(e *enemy) { e.joinJSON(); e.flood(frame.AppendFrame(nil, frame.Ping, nil)) }, true, false},
	{"a flood of heartbeats", func(e *enemy) {
		e.join("")
		e.flood(frame.AppendFrame(nil, frame.Binary, (&wire.Message{Kind: wire.KindNotify}).Append(nil)))
	}, true, false},
	{"a flood of credits", func(e *enemy) {
		var buf [16]byte
		credit := wire.Credit{}.Message(&buf)
		e.join("")
		e.flood(frame.AppendFrame(nil, frame.Binary, credit.Append(nil)))
	}, true, false},
	{"a flood of empty frames", func(e *enemy) { e.join(""); e.flood([]byte{0x82, 0}) }, true, false},
	{"a flood of calls to nobody", func(e *enemy) {
		e.join("")
		go e.read()
		for e.send(e.request("nobody", "x", nil)) {
		}
	}, false, false},
	{"never reads", func(e *enemy) {
		e.join("")
		body := make([]byte, 8<<10)
		for e.send(e.request("tally", "echo", body)) {
		}
	}, true, false},
}

// envEnemy makes the test binary a crowd of enemies: ADDRESS ATTACK SIZE.
const envEnemy = "TEST_ENEMY"

// beEnemies attacks until standard input ends, and says how often that was, and how often
// it was cut off. A line asks it to go on until it was, once.
func beEnemies() {
	var address string
	var attack, size int
	if _, err := fmt.Sscan(os.Getenv(envEnemy), &address, &attack, &size); err != nil {
		panic(err)
	}
	beNice()
	row := attacks[attack]
	end, stop := context.WithCancel(context.Background())
	var began, cut atomic.Int64
	var all sync.WaitGroup
	for range size {
		all.Go(func() {
			for end.Err() == nil {
				c, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				began.Add(1)
				disarm := context.AfterFunc(end, func() { c.Close() })
				row.do(&enemy{c: c})
				if disarm() {
					cut.Add(1)
				}
				c.Close()
				if row.once {
					return
				}
			}
		})
	}
	var line string
	if _, err := fmt.Scanln(&line); err == nil {
		for limit := time.Now().Add(20 * time.Second); cut.Load() == 0 && time.Now().Before(limit); <-time.After(time.Millisecond) {
		}
	}
	stop()
	all.Wait()
	fmt.Println(began.Load(), cut.Load())
	os.Exit(0)
}

// enemies are such a process.
type enemies struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bytes.Buffer
}

func unleash(t *testing.T, address string, attack, size int) *enemies {
	t.Helper()
	e := &enemies{cmd: exec.Command(os.Args[0]), out: new(bytes.Buffer)}
	e.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", envEnemy, address, attack, size))
	e.cmd.Stdout, e.cmd.Stderr = e.out, os.Stderr
	var err error
	if e.in, err = e.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return e
}

// callOff ends them, once one was cut off if that is to be.
func (e *enemies) callOff(t *testing.T, cut bool) (began, cuts int) {
	t.Helper()
	if cut {
		_, _ = fmt.Fprintln(e.in, "when")
	}
	_ = e.in.Close()
	if err := e.cmd.Wait(); err != nil {
		t.Errorf("the enemies: %v", err)
	}
	if _, err := fmt.Sscan(e.out.String(), &began, &cuts); err != nil {
		t.Errorf("the enemies say %q", e.out)
	}
	return began, cuts
}

// TestHostileCrowd: whatever the enemies at a listener do, again and again, each is
// refused or cut off, and counted; and those who behave are served meanwhile. The
// enemies are a process of the lowest priority, since those of real life are not on this
// machine. How the p99 of calls compares with that of a quiet time is printed.
//
// go test . -run TestHostileCrowd -crowd 20 -crowd-time 10s -left 10000 -v
func TestHostileCrowd(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = 50*time.Millisecond, 1500*time.Millisecond })
	ctx, cancel := context.WithTimeout(w.arb.Context(context.Background()), 10*time.Minute)
	defer cancel()
	tally := w.spawn(Victim, actor.Name("tally"))
	w.spawn(Victim, actor.Name("victim"))
	m := w.member(w.address("unix:"), Victim, actor.JoinOptions{})
	member, err := m.Ref(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// serve has two callers call for a while, and returns how long 99 of 100 calls took at
	// most.
	serve := func(name string) time.Duration {
		var mu sync.Mutex
		var took []time.Duration
		var all sync.WaitGroup
		for _, c := range []struct {
			ctx context.Context
			to  actor.Ref
		}{{ctx, member}, {m.Context(ctx), tally}} {
			all.Go(func() {
				for end := time.Now().Add(*crowdTime); time.Now().Before(end); {
					began := time.Now()
					if n, err := Double.Call(c.ctx, c.to, 4); n != 8 || err != nil {
						t.Errorf("%s: somebody else noticed: %d, %v", name, n, err)
						return
					}
					mu.Lock()
					took = append(took, time.Since(began))
					mu.Unlock()
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		if len(took) == 0 {
			return 0
		}
		return took[len(took)*99/100]
	}
	refused := func() uint64 {
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.Arbiter)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := in.Info.Extra["refused connections"].(uint64)
		return n
	}
	address := strings.TrimPrefix(w.address("tcp:"), "tcp:")
	compare := func(name string, quiet, p99 time.Duration, more string) {
		t.Logf("%-32s p99 %8v, quiet %8v, %5.1f times; %s", name, p99.Round(time.Microsecond), quiet.Round(time.Microsecond), float64(p99)/float64(quiet), more)
		if p99 > slack {
			t.Errorf("%s: a call took %v", name, p99)
		}
	}

	for n, row := range attacks {
		before, quiet := refused(), serve("quiet")
		crowd := unleash(t, address, n, *crowd)
		p99 := serve(row.name)
		began, cut := crowd.callOff(t, row.cuts)
		if row.cuts && cut == 0 {
			t.Errorf("%s: %d times, and never cut off", row.name, began)
		}
		eventually(t, row.name+": all of them are gone", func() bool {
			list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
			return err == nil && !slices.ContainsFunc(list, func(i actor.Info) bool { return i.Kind == "enemy" })
		})
		compare(row.name, quiet, p99, fmt.Sprintf("%d times, %d cut off, %d refused", began, cut, refused()-before))
	}

	before, quiet := refused(), serve("quiet")
	var left []net.Conn
	for range *leftOpen {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, c)
	}
	p99 := serve("opened and left")
	for _, c := range left {
		c.Close()
	}
	eventually(t, "all that were left are counted as refused", func() bool { return refused()-before >= uint64(len(left)) })
	compare("opened and left", quiet, p99, fmt.Sprintf("%d connections, %d refused", len(left), refused()-before))
	if lines := strings.Count(w.log.String(), "a connection was refused"); lines > 60 {
		t.Errorf("the log has %d lines about %d refusals", lines, refused())
	}
}

//go:build unix

package arbiter_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// half is a program of the json profile that says all of a message of 15 MiB but its last byte.
const half = `
import json, os, socket, struct, time
s = socket.socket(fileno=int(os.environ['ARBITER_FD']))
def frame(d):
    n = len(d)
    return b'\x81' + (bytes([n]) if n < 126 else b'\x7f' + struct.pack('>Q', n)) + d
s.sendall(frame(b'{"command":"hello","kind":"half"}'))
s.sendall(frame(json.dumps(dict(command='echo', target='arbiter', args=['x' * (15 << 20)])).encode())[:-1])
print('said', flush=True)
time.sleep(60)
`

// TestBudgetBehindADoor: what is read of a program that the arbiter started is counted as what
// is read of everybody else.
func TestBudgetBehindADoor(t *testing.T) {
	w := quietWorld(t, func(o *arbiter.Options) { o.MemoryBudget = 256 << 20 })
	ref, err := w.arb.SpawnProgram(w.ctx, python(t), []string{"-c", half}, actor.Name("half"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it said half a message", func() bool { return len(w.inspect(t, ref).Lines) > 0 })
	in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.Arbiter)
	if err != nil {
		t.Fatal(err)
	}
	if n := in.Memory.Held; n < 8<<20 {
		t.Errorf("of 15 MiB of half a message %d bytes are counted", n)
	}
	_, _ = w.arb.Kill(w.ctx, ref)
}

// early is a program of the native profile that comes by its token, and says its first notify
// together with its hello.
const early = `
import os, socket, struct, time
os.close(int(os.environ['ARBITER_FD']))
token = os.environ['ARBITER_TOKEN'].encode()
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ['ARBITER_ADDR'][5:])
body = b'\xa3\x02\x78' + bytes([len(token)]) + token + b'\x03\x61x\x08\xa2\x01\x19\x03\xe8\x02\x1a\x00\x10\x00\x00'
def frame(kind, millis, id, codec, body):
    m = struct.pack('>BBBBIQBBH', kind, 0, codec, 0, millis, id, 0, 0, 0) + body
    return bytes([0x82, len(m)]) + m
s.sendall(frame(1, 1, 1, 1, body) + frame(14, 0, 0, 0, b''))
while s.recv(4096): pass
`

// TestEarlyBehindADoor: what comes together with a hello is not lost, also where the hello leads
// to a door.
func TestEarlyBehindADoor(t *testing.T) {
	w := quietWorld(t, func(o *arbiter.Options) { o.StartTimeout = 3 * time.Second; o.Listen = "" })
	if _, err := w.arb.SpawnProgram(w.ctx, python(t), []string{"-c", early}, actor.Name("early")); err != nil {
		t.Error(err)
	}
}

// TestProgramAsksFirst: a program that asks the arbiter something by the command line, before it says
// hello itself, has its place all the same.
func TestProgramAsksFirst(t *testing.T) {
	w := quietWorld(t)
	script := fmt.Sprintf(`echo "token $ARBITER_TOKEN"; read line < %[3]q; exec %[1]q %[2]q`, python(t), workerPath(t), filepath.Join(w.dir, "go on"))
	if err := syscall.Mkfifo(filepath.Join(w.dir, "go on"), 0o600); err != nil {
		t.Fatal(err)
	}
	type end struct {
		ref actor.Ref
		err error
	}
	spawned := make(chan end, 1)
	go func() {
		ref, err := w.arb.SpawnProgram(w.ctx, "/bin/sh", []string{"-c", script}, actor.Name("shop"))
		spawned <- end{ref, err}
	}()
	var token string
	eventually(t, "it says its token", func() bool {
		page, err := actor.Logs.Call(w.ctx, actor.Arbiter, actor.LogsArgs{Target: "shop"})
		if err != nil {
			return false
		}
		for _, l := range page.Lines {
			token = strings.TrimPrefix(l.Text, "token ")
		}
		return token != ""
	})
	cli := w.member(w.address("unix:"), &actor.Kind[actor.None]{Name: "cli"}, actor.JoinOptions{Client: true, Token: token})
	who, err := cli.Ref(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if who.Name == "shop" {
		t.Errorf("the command line is the program: %v", who)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "go on"), []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	s := <-spawned
	if s.err != nil {
		t.Fatal(s.err)
	}
	if in := w.inspect(t, s.ref); !strings.HasPrefix(in.Info.Peer, "socketpair") || in.Info.Language != "python" {
		t.Errorf("it is %+v", in.Info)
	}
}

//go:build unix

package cli

import (
	"encoding/json"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// What is wrong with a command line is told without an arbiter, with exit code 2.
func TestUsage(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		args string
		errs []string
	}{
		{"pss", []string{`no command "pss"`, "[usage]", "ps"}},
		{"ps --alll", []string{"--alll", "[usage]"}},
		{"ps extra", []string{"[usage]"}},
		{"call", []string{"[usage]"}},
		{"call arbiter", []string{"[usage]"}},
		{"stop", []string{"[usage]"}},
		{"kill a b", []string{"[usage]"}},
		{"ps -o xml", []string{"xml", "table", "json", "[usage]"}},
		{"call a b --timeout soon", []string{"soon", "[usage]"}},
		{"call a b n=1 n=2", []string{`"n" is given twice`, "[usage]"}},
		{"demo --workers 0", []string{"[usage]"}},
		{"demo --size big", []string{`"big"`, "WIDTHxHEIGHT", "[usage]"}},
		{"up --listen nowhere", []string{"nowhere", "host:port", "[usage]"}},
		{"up --listen 127.0.0.1:0", []string{"needs a token", "ARBITER_TOKEN", "[usage]"}},
		{"up --name a/b", []string{"--name", "[usage]"}},
	} {
		w.expect(exitUsage, "", test.errs, strings.Fields(test.args)...)
	}
	got := w.run("ps", "extra", "-o", "json")
	var e told
	if err := json.Unmarshal([]byte(got.errors), &e); err != nil || e.Error.Code != "usage" || e.Error.Message == "" {
		t.Errorf("with -o json: %v, %q", err, got.errors)
	}
}

// Every command has a help whose examples begin with the program.
func TestHelp(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "demo", "up", "ps", "call", "send", "stop", "kill"} {
		args := []string{"--help"}
		if name != "" {
			args = []string{name, "--help"}
		}
		got := w.run(args...)
		if got.code != exitOK || got.errors != "" || !strings.Contains(got.out, "Usage:") || !strings.Contains(got.out, "Examples:") || strings.Contains(got.out, "$0") {
			t.Errorf("%v: exit code %d\n%s%s", args, got.code, got.out, got.errors)
		}
	}
}

func TestNoArbiter(t *testing.T) {
	w := newWorld(t)
	for _, args := range []string{"ps", "call arbiter ping", "send arbiter ping", "stop arbiter", "kill x"} {
		w.expect(exitNoArbiter, "", []string{"[no-arbiter]", " up"}, strings.Fields(args)...)
	}
	w.expect(exitNoArbiter, "", []string{"[no-arbiter]"}, "ps", "--addr", "unix:"+filepath.Join(w.dir, "none"))
	var e told
	if got := w.run("ps", "-o", "json"); json.Unmarshal([]byte(got.errors), &e) != nil || e.Error.Code != "no-arbiter" || got.out != "" {
		t.Errorf("with -o json: %q, and %q on standard output", got.errors, got.out)
	}
}

// One arbiter, from its start to its end, by the commands of a second terminal.
func TestSession(t *testing.T) {
	w := newWorld(t)
	up, at := w.up("--name", "shop")
	if at.Name != "shop" || at.PID != up.Process.Pid || len(at.Addresses) != 1 || !strings.HasPrefix(at.Addresses[0], "unix:") {
		t.Fatalf("up printed %+v", at)
	}
	w.expect(exitOK, "arbiter\n", nil, "ps", "-o", "name")

	ref := result[actor.Ref](w, "call", "arbiter", "spawn", "kind=renderer", "name=ada", "in=process")
	if ref.Name != "ada" || ref.AID == "" {
		t.Errorf("spawn returned %+v", ref)
	}
	ps := result[[]actor.Info](w, "ps")
	i := slices.IndexFunc(ps, func(i actor.Info) bool { return i.Name == "ada" })
	if len(ps) != 2 || i < 0 || ps[i].State != "running" || ps[i].In != "process" || ps[i].PID == 0 {
		t.Fatalf("ps lists %+v, want the arbiter and ada, a process", ps)
	}
	if out := w.run("ps").out; !strings.Contains(out, "NAME") || !strings.Contains(out, "process "+strconv.Itoa(ps[i].PID)) {
		t.Errorf("ps prints\n%s", out)
	}

	for _, test := range []struct{ args, out string }{
		{`call ada ping`, "\"pong\"\n"},
		{`call ada echo 9007199254740993`, "9007199254740993\n"},
		{`call ada echo word`, "\"word\"\n"},
		{`call ada echo {"n":5}`, "{\n  \"n\": 5\n}\n"},
		{`call ada echo -- -5`, "-5\n"},
		{`call ada config set color "red"`, "\"red\"\n"},
		{`call ada config op=get name=color`, "\"red\"\n"},
		{`send ada echo hello`, ""},
	} {
		w.expect(exitOK, test.out, nil, strings.Fields(test.args)...)
	}
	w.expect(exitUnknown, "", []string{`"adda"`, "ada", "[unknown_actor]", " ps"}, "call", "adda", "ping")
	w.expect(exitUnknown, "", []string{`"pin"`, `"ping"`, "[unknown_command]"}, "call", "ada", "pin")
	w.expect(exitUnknown, "", []string{`"adda"`}, "send", "adda", "ping")
	w.expect(exitUnknown, "", []string{`"pin"`}, "send", "ada", "pin")
	w.expect(exitUsage, "", []string{"[invalid]", "commands"}, "call", "ada", "config", "what=1")
	w.expect(exitUnknown, "", []string{"adda"}, "stop", "adda")
	w.expect(exitUnknown, "", []string{"adda"}, "kill", "adda")
	w.expect(exitRefused, "", []string{"stop arbiter"}, "kill", "arbiter")

	w.run("call", "arbiter", "spawn", "kind=staller", "name=slow")
	w.expect(exitTimeout, "", []string{"not answered within 50ms", "[deadline]", "--timeout"}, "call", "slow", "stall", "--timeout", "50ms")
	var e told
	if got := w.run("call", "slow", "stall", "--timeout", "50ms", "-o", "json"); json.Unmarshal([]byte(got.errors), &e) != nil || e.Error.Code != "deadline" {
		t.Errorf("a timeout with -o json: %q", got.errors)
	}

	if d := result[actor.Death](w, "kill", "ada"); d.Cause != actor.CauseKilled {
		t.Errorf("kill printed %+v", d)
	}
	dead(t, ps[i].PID)
	if d := result[actor.Death](w, "stop", "slow"); d.Cause != actor.CauseStopped {
		t.Errorf("stop printed %+v", d)
	}
	w.expect(exitOK, "arbiter\n", nil, "ps", "-o", "name")
	if got := w.run("stop", "arbiter"); got.code != exitOK {
		t.Errorf("stop arbiter: exit code %d\n%s", got.code, got.errors)
	}
	for up.lines.Scan() {
	}
	if err := up.Wait(); err != nil {
		t.Errorf("up ended with %v\n%s", err, up.errs)
	}
}

// Two arbiters: a command has to say which.
func TestWhichArbiter(t *testing.T) {
	w := newWorld(t)
	_, a := w.up("--name", "a")
	w.up("--name", "b")
	w.expect(exitUsage, "", []string{"--addr", a.Addresses[0]}, "ps")
	w.expect(exitOK, "arbiter\n", nil, "ps", "-o", "name", "--addr", a.Addresses[0])
	w.env = append(w.env, "ARBITER_ADDR="+a.Addresses[0])
	w.expect(exitOK, "arbiter\n", nil, "ps", "-o", "name")
}

// What an interrupted, a terminated and a killed arbiter leave: a true exit code,
// and no child.
func TestEndOfUp(t *testing.T) {
	for _, test := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, exitInterrupted}, {syscall.SIGTERM, exitOK}, {syscall.SIGKILL, -1}} {
		t.Run(test.signal.String(), func(t *testing.T) {
			w := newWorld(t)
			up, _ := w.up()
			w.run("call", "arbiter", "spawn", "kind=renderer", "name=ada", "in=process")
			info := result[actor.Info](w, "call", "ada", "info")
			if info.PID == 0 || info.PID == up.Process.Pid {
				t.Fatalf("ada is at pid %d", info.PID)
			}
			call := w.command("call", "ada", "echo", "1")
			if got := w.finish(call); got.code != exitOK {
				t.Fatalf("%+v", got)
			}
			if code := up.end(t, test.signal); code != test.code {
				t.Errorf("up ended with exit code %d, want %d\n%s", code, test.code, up.errs)
			}
			dead(t, info.PID)
			w.expect(exitNoArbiter, "", []string{"[no-arbiter]"}, "ps")
		})
	}
}

// A call whose arbiter is killed meanwhile ends, and says so.
func TestArbiterDiesDuringCall(t *testing.T) {
	w := newWorld(t)
	up, _ := w.up()
	w.run("call", "arbiter", "spawn", "kind=staller", "name=slow")
	_, ended := w.begin("call", "slow", "stall")
	for result[actor.Info](w, "call", "slow", "info").Started == 0 {
	}
	up.end(t, syscall.SIGKILL)
	if got := <-ended; got.code != exitNoArbiter || !strings.Contains(got.errors, "nobody knows whether") {
		t.Errorf("exit code %d\n%s", got.code, got.errors)
	}
}

func TestInterruptedCall(t *testing.T) {
	w := newWorld(t)
	w.up()
	w.run("call", "arbiter", "spawn", "kind=staller", "name=slow")
	call, ended := w.begin("call", "slow", "stall")
	for result[actor.Info](w, "call", "slow", "info").Started == 0 {
	}
	if err := call.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got.code != exitInterrupted || got.out != "" {
		t.Errorf("exit code %d, output %q\n%s", got.code, got.out, got.errors)
	}
}

func TestListenByTCP(t *testing.T) {
	w := newWorld(t)
	w.env = append(w.env, "ARBITER_TOKEN=sesame")
	_, at := w.up("--listen", "127.0.0.1:0", "--origin", "https://friend.example")
	i := slices.IndexFunc(at.Addresses, func(a string) bool { return strings.HasPrefix(a, "tcp:") })
	if i < 0 {
		t.Fatalf("it listens at %v", at.Addresses)
	}
	tcp := at.Addresses[i]
	w.expect(exitOK, "arbiter\n", nil, "ps", "-o", "name", "--addr", tcp)
	for origin, status := range map[string]int{"https://friend.example": http.StatusSwitchingProtocols, "https://foe.example": http.StatusForbidden} {
		r, err := http.NewRequest(http.MethodGet, "http://"+strings.TrimPrefix(tcp, "tcp:"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Origin": {origin}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != status {
			t.Errorf("a page of %s is answered %s, want %d", origin, answer.Status, status)
		}
	}
	busy := w.run("up", "--listen", strings.TrimPrefix(tcp, "tcp:"), "--name", "other")
	if busy.code != exitFailed || !strings.Contains(busy.errors, "[port-in-use]") || !strings.Contains(busy.errors, "127.0.0.1:0") {
		t.Errorf("a port that is taken: exit code %d\n%s", busy.code, busy.errors)
	}
	w.env = append(w.env, "ARBITER_TOKEN=wrong")
	if got := w.run("ps", "--addr", tcp); got.code != exitRefused || !strings.Contains(got.errors, "token") {
		t.Errorf("a wrong token: exit code %d\n%s", got.code, got.errors)
	}
}

func TestDemo(t *testing.T) {
	w := newWorld(t)
	a := result[account](w, "demo", "--size", "300x200", "--workers", "3", "--out", "a.png")
	total := 0
	for _, n := range a.Workers {
		total += n
	}
	if a.Tiles != 5*4 || total != a.Tiles || len(a.Workers) == 0 || a.Again != 0 {
		t.Errorf("the account is %+v", a)
	}
	checkPicture(t, filepath.Join(w.dir, "a.png"), 300, 200)
	w.expect(exitFailed, "", []string{"[not-written]", "mkdir -p"}, "demo", "--out", filepath.Join(w.dir, "none", "a.png"))
	if _, err := os.Stat(filepath.Join(w.dir, "none")); err == nil {
		t.Error("the folder was made")
	}
}

// checkPicture compares a picture with what draw computes here.
func checkPicture(t *testing.T, path string, width, height int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != width || b.Dy() != height {
		t.Fatalf("the picture is %v", b)
	}
	for _, tl := range seahorse(width, height).tiles(tileSide) {
		p, err := tl.draw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range [][2]int{{0, 0}, {tl.W - 1, tl.H - 1}} {
			x, y := at[0], at[1]
			r, g, b, _ := img.At(tl.X+x, tl.Y+y).RGBA()
			want := p.RGB[3*(y*tl.W+x):]
			if byte(r>>8) != want[0] || byte(g>>8) != want[1] || byte(b>>8) != want[2] {
				t.Fatalf("pixel %d,%d of tile %d is %d %d %d, want %v", x, y, tl.N, r>>8, g>>8, b>>8, want[:3])
			}
		}
	}
}

// Renderers that are killed -9 again and again cost tiles nothing but time.
func TestDemoUnderFire(t *testing.T) {
	w := newWorld(t)
	cmd := w.command("demo", "--size", "960x640", "--workers", "3", "-o", "json")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	killed := map[int]bool{}
	var err error
	for over := false; !over; {
		select {
		case err = <-ended:
			over = true
		default:
			if len(killed) < 3 {
				for _, pid := range childrenOf(cmd.Process.Pid) {
					if len(killed) < 3 && !killed[pid] && syscall.Kill(pid, syscall.SIGKILL) == nil {
						killed[pid] = true
					}
				}
			} else {
				err, over = <-ended, true
			}
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var a account
	if err := json.Unmarshal([]byte(out.String()), &a); err != nil {
		t.Fatal(err)
	}
	if len(killed) == 0 || a.Tiles != 15*10 {
		t.Errorf("%d renderers were killed, and the account is %+v", len(killed), a)
	}
	checkPicture(t, filepath.Join(w.dir, "arbiter-demo.png"), 960, 640)
}

// childrenOf returns the processes whose parent is pid.
func childrenOf(pid int) (list []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range dirs {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if len(f) > 1 && f[1] == strconv.Itoa(pid) {
			if n, err := strconv.Atoi(strings.Split(name, "/")[2]); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}

func TestLedger(t *testing.T) {
	for _, test := range []struct {
		came []int
		want string
	}{
		{[]int{1, 1, 1}, ""},
		{[]int{1, 0, 1}, "1 never came [1]"},
		{[]int{1, 1, 2}, "1 came more than once [2]"},
		{[]int{1}, "2 never came [1 2]"},
	} {
		err := ledger{Tiles: 3, Came: test.came}.check()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v: %v, want %q", test.came, err, test.want)
		}
	}
}

// Tiles cover the picture, each pixel once.
func TestTiles(t *testing.T) {
	v := seahorse(150, 70)
	seen := make(map[[2]int]int)
	for n, tl := range v.tiles(64) {
		if tl.N != n {
			t.Errorf("tile %d is number %d", n, tl.N)
		}
		for y := range tl.H {
			for x := range tl.W {
				seen[[2]int{tl.X + x, tl.Y + y}]++
			}
		}
	}
	if len(seen) != 150*70 {
		t.Errorf("%d pixels are covered, want %d", len(seen), 150*70)
	}
	for at, n := range seen {
		if n != 1 || at[0] >= 150 || at[1] >= 70 {
			t.Errorf("pixel %v is covered %d times", at, n)
		}
	}
}

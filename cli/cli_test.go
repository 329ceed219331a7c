//go:build unix

package cli

import (
	"encoding/json"
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
		{"scael", []string{`no command "scael"; did you mean "scale"?`}},
		{"ps --add unix:/tmp/x", []string{`no flag "--add"; did you mean "--addr"?`, "[usage]"}},
		{"up --lisen 127.0.0.1:0", []string{`no flag "--lisen"; did you mean "--listen"?`, "[usage]"}},
		{"run --worker 2 -- true", []string{`no flag "--worker"; did you mean "--workers"?`, "[usage]"}},
		{"ps --outptu json", []string{`no flag "--outptu"; did you mean "--output"?`, "[usage]"}},
		{"ps --nothing-like-it", []string{`no flag "--nothing-like-it"  [usage]`}},
		{"ps extra", []string{"[usage]"}},
		{"call", []string{"[usage]"}},
		{"call arbiter", []string{"[usage]"}},
		{"stop", []string{"[usage]"}},
		{"kill a b", []string{"[usage]"}},
		{"ps -o xml", []string{"xml", "table", "json", "[usage]"}},
		{"call a b --timeout soon", []string{"soon", "[usage]"}},
		{"call a b n=1 n=2", []string{`"n" is given twice`, "[usage]"}},
		{"up --listen nowhere", []string{"nowhere", "host:port", "[usage]"}},
		{"up --listen 127.0.0.1:0", []string{"needs a token", "ARBITER_TOKEN", "[usage]"}},
		{"up --token sesame", []string{"--token is for --listen", "up --token sesame --listen 127.0.0.1:7978", "[usage]"}},
		{"up --origin https://friend.example", []string{"--origin is for --listen", "[usage]"}},
		{"up --pulsar-aids a1", []string{"--pulsar", "127.0.0.1:7979", "[usage]"}},
		{"up --pulsar 127.0.0.1:0 --pulsar-aids a/b", []string{"--pulsar-aids", "[usage]"}},
		{"up --pulsar 127.0.0.1:0 --pulsar-spawn 'a", []string{"--pulsar-spawn", "quote", "[usage]"}},
		{"up --pulsar 0.0.0.0:7979", []string{"--pulsar", "not on the loopback", "127.0.0.1:7979", "[usage]"}},
		{"join --aid a1", []string{"--pulsar", "host:port", "[usage]"}},
		{"join --pulsar 127.0.0.1:1", []string{"--aid", "[usage]"}},
		{"up --name a/b", []string{"--name", "[usage]"}},
		{"up --pulsar-no-run", []string{"--pulsar-no-run is for --pulsar", "[usage]"}},
		{"up --pulsar-timeout 3s", []string{"--pulsar-timeout is for --pulsar", "[usage]"}},
		{"up --listen 127.0.0.1:0 --token x --origin friend.example", []string{`"friend.example" in --origin`, "https://example.com", "[usage]"}},
		{"up --listen 127.0.0.1:0 --token x --origin https://friend.example/", []string{"--origin", "[usage]"}},
		{"help run x", []string{`no command "x"`, "[usage]"}},
		{"completion tcsh", []string{`no command "tcsh"; did you mean "zsh"?`, "[usage]"}},
		{"completion bash x", []string{"bash takes no arguments", "[usage]"}},
	} {
		w.expect(exitUsage, "", test.errs, strings.Fields(test.args)...)
	}
	if got := w.run("kill", "-9", "web"); got.code != exitUsage || strings.Contains(got.errors, "COMMAND") {
		t.Errorf("kill -9 web: %d, %s", got.code, got.errors)
	}
	for path, want := range map[string]string{"./worker.py": "worker", "./-dash": "dash", "./日本": "program", "./...": "program"} {
		if got := nameOfProgram(path); got != want {
			t.Errorf("the pool of %s is called %q, want %q", path, got, want)
		}
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
	for _, name := range []string{"", "demo", "run", "up", "join", "ps", "call", "send", "stop", "kill", "start", "restart", "scale", "inspect", "logs", "events"} {
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
	for _, args := range []string{"ps", "call arbiter ping", "send arbiter ping", "stop arbiter", "kill x", "start x", "restart x", "scale x=1", "inspect x", "logs -f", "events -f"} {
		w.expect(exitNoArbiter, "", []string{"[no-arbiter]", " up"}, strings.Fields(args)...)
	}
	w.expect(exitNoArbiter, "", []string{"[no-arbiter]", "of pulsar"}, "join", "--pulsar", "127.0.0.1:1", "--aid", "a1")
	w.expect(exitNoArbiter, "", []string{"[no-arbiter]"}, "ps", "--addr", "unix:"+filepath.Join(w.dir, "none"))
	var e told
	if got := w.run("ps", "-o", "json"); json.Unmarshal([]byte(got.errors), &e) != nil || e.Error.Code != "no-arbiter" || got.out != "" {
		t.Errorf("with -o json: %q, and %q on standard output", got.errors, got.out)
	}
}

// Where an arbiter is looked for, and has its socket, is told together with the variable
// that says so: the user may have meant another.
func TestWhereArbitersAre(t *testing.T) {
	w := newWorld(t)
	w.up()
	other, err := os.MkdirTemp("/tmp", "cli") // short, as a socket's folder has to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	env := w.env
	w.env = append(env, "XDG_RUNTIME_DIR=", "TMPDIR="+other)
	where := "looked in " + filepath.Join(other, "arbiter-"+strconv.Itoa(os.Getuid())) + ", since $XDG_RUNTIME_DIR is not set\n"
	w.expect(exitNoArbiter, "", []string{where, "another $XDG_RUNTIME_DIR", "[no-arbiter]"}, "ps")
	w.env = append(env, "XDG_RUNTIME_DIR="+other)
	w.expect(exitNoArbiter, "", []string{"looked in " + other + "/arbiter, as $XDG_RUNTIME_DIR says\n"}, "ps")
	if err := os.WriteFile(filepath.Join(other, "arbiter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.expect(exitNoArbiter, "", []string{"cannot be listed", "looked in " + other + "/arbiter, as $XDG_RUNTIME_DIR says\n"}, "ps")
	w.expect(exitFailed, "", []string{"control socket", other + "/arbiter, as $XDG_RUNTIME_DIR says", "have it elsewhere:  env -u XDG_RUNTIME_DIR "}, "up")
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
	if out := squeezed(w.run("ps").out); !strings.Contains(out, "NAME") || !strings.Contains(out, "process "+strconv.Itoa(ps[i].PID)) {
		t.Errorf("ps prints\n%s", out)
	}

	for _, test := range []struct{ args, out string }{
		{`call ada ping`, "\"pong\"\n"},
		{`call ada echo 9007199254740993`, "9007199254740993\n"},
		{`call ada echo word`, "\"word\"\n"},
		{`call ada echo {"n":5}`, "{\n  \"n\": 5\n}\n"},
		{`call ada echo -- -5`, "-5\n"},
		{`call ada echo {"$map":[["1",{"$bytes":"YWJj"}],[1,{"$float":"nan"}]]} -o jsonl`, `{"$map":[["1",{"$bytes":"YWJj"}],[1,{"$float":"nan"}]]}` + "\n"},
		{`call ada echo {"$bytes":"YWJj"} -o jsonl`, `{"$bytes":"YWJj"}` + "\n"},
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
	w.expect(exitTimeout, "", []string{"not answered within 50ms", "[deadline]", " inspect slow", "--timeout"}, "call", "slow", "stall", "--timeout", "50ms")
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

// A call that is not answered in time says what its target is at.
func TestSlowCall(t *testing.T) {
	w := newWorld(t)
	w.up()
	w.run("call", "arbiter", "pool", "name=web", `worker={"kind":"staller"}`)
	call, ended := w.begin("call", "web", "stall")
	for result[actor.Info](w, "call", "web/1", "info").Started == 0 {
	}
	w.expect(exitTimeout, "", []string{"[deadline]", `web/1 has been inside "stall" for `, " inspect web/1", " scale web=+1"}, "call", "web/1", "echo", "1", "--timeout", "50ms")
	w.expect(exitTimeout, "", []string{"[deadline]", " scale web=+1"}, "call", "web", "echo", "1", "--timeout", "50ms")
	if err := call.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-ended
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

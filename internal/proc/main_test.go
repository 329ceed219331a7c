//go:build unix

package proc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"
)

// envProgram makes the test binary one of the programs below: what the tests start.
const envProgram = "PROC_TEST_PROGRAM"

// testSelf is the test binary, as what can be started again.
var testSelf *Self

func TestMain(m *testing.M) {
	// The race detector sleeps for a second at the end of every program, by default.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	testSelf = Hook()
	if name := os.Getenv(envProgram); name != "" {
		program, ok := programs[name]
		if !ok {
			program, ok = morePrograms()[name]
		}
		if !ok {
			fmt.Fprintf(os.Stderr, "there is no test program %q\n", name)
			os.Exit(99)
		}
		program(os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// programs are what the tests start. Each gets its arguments; none outlives a
// minute, whatever becomes of the test.
var programs = map[string]func(args []string){
	"exit": func(args []string) {
		code, err := strconv.Atoi(args[0])
		must(err)
		os.Exit(code)
	},
	"say": func(args []string) { // its arguments, one a line, to standard error
		for _, line := range args {
			fmt.Fprintln(os.Stderr, line)
		}
	},
	"sleep": func([]string) { time.Sleep(time.Minute) },
	"ready": func([]string) { // says that it runs, and stays
		fmt.Println("ready", os.Getpid())
		time.Sleep(time.Minute)
	},
	"line": func(args []string) { // one line of that many bytes, without an end
		n, err := strconv.Atoi(args[0])
		must(err)
		chunk := strings.Repeat("x", 1<<10)
		for ; n > 0; n -= len(chunk) {
			_, err := io.WriteString(os.Stdout, chunk[:min(n, len(chunk))])
			must(err)
		}
	},
	"noise": func(args []string) { // that many bytes of every value, to both outputs
		n, err := strconv.Atoi(args[0])
		must(err)
		bytes := make([]byte, n)
		for i := range bytes {
			bytes[i] = byte(i * i >> 3)
		}
		for _, f := range []*os.File{os.Stdout, os.Stderr} {
			_, err := f.Write(bytes)
			must(err)
		}
	},
	"mute": func([]string) { // closes its output and goes on until its socket ends
		conn, err := Inherited(SocketFD)
		must(err)
		must(os.Stdout.Close())
		must(os.Stderr.Close())
		_, err = io.WriteString(conn, "closed\n")
		must(err)
		_, err = io.Copy(conn, conn)
		must(err)
		os.Exit(7)
	},
	"echo": func([]string) { // what comes over the socket goes back, until its end
		conn, err := Inherited(SocketFD)
		must(err)
		_, again := Inherited(SocketFD)
		fmt.Println("again:", again)
		_, err = io.Copy(conn, conn)
		must(err)
		fmt.Println("end of file")
		os.Exit(5)
	},
	"descriptors": func([]string) { // its open files
		for fd := range 256 {
			if to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && !strings.HasPrefix(to, "anon_inode:") &&
				!strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "/sys/") { // the Go runtime's own, and ours
				fmt.Println(fd, to)
			}
		}
	},
	"wait": func([]string) { // ends with its standard input
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
	},
	"listener": func(args []string) { // greets on each socket it was given, once, and ends with its own
		n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
		must(err)
		if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
			fmt.Println(n, "descriptors for me")
		}
		for i := range n {
			l, err := net.FileListener(os.NewFile(uintptr(3+i), "listener"))
			must(err)
			conn, err := l.Accept()
			must(err)
			_, err = fmt.Fprint(conn, "socket ", i)
			must(err)
			must(conn.Close())
		}
		fd, err := strconv.Atoi(args[0])
		must(err)
		conn, err := Inherited(fd)
		must(err)
		_, _ = io.Copy(io.Discard, conn)
		os.Exit(6)
	},
	"stubborn": func([]string) { // is asked to end in vain
		signal.Ignore(signals...)
		fmt.Println("ready", os.Getpid())
		time.Sleep(time.Minute)
	},
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "test program:", err)
		os.Exit(98)
	}
}

// program is the Spec of one of the programs.
func program(name string, args ...string) Spec {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Spec{Path: exe, Args: args, Env: setEnv(os.Environ(), envProgram, name)}
}

// start starts s and ends it with the test.
func start(t *testing.T, s Spec) *Process {
	t.Helper()
	p, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		receive(t, p.Done(), "the process's end")
	})
	return p
}

// run starts s and waits for its end.
func run(t *testing.T, s Spec) Exit {
	t.Helper()
	p := start(t, s)
	receive(t, p.Done(), "the process's end")
	return p.Exit()
}

// patience is how long a test waits for what must come: it is no measure.
const patience = 30 * time.Second

func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatalf("%s has not come after %v", what, patience)
		panic("unreachable")
	}
}

// eventually polls what only the system knows, and no channel tells.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for tick := time.NewTicker(2 * time.Millisecond); ; {
		if ok() {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

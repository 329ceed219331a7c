//go:build unix

package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// The test binary is one of the programs below when this says which.
const envWorker = "ARBITER_TEST_WORKER"

// workerFlags are the flags of the command run for one of these programs.
func workerFlags(mode string, flags ...string) []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append(flags, "--env", envWorker+"="+mode, "--", exe)
}

// work is the main of these programs.
func work(mode string) int {
	name := os.Getenv("ARBITER_NAME")
	switch mode {
	case "obeys":
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM, syscall.SIGUSR1)
		fmt.Println("hello from", name)
		fmt.Println("bye on", <-term)
		return 0
	case "stubborn": // it and its child, which leaves its group and session, do not stop
		signal.Ignore(syscall.SIGTERM)
		exe, _ := os.Executable()
		child := exec.Command(exe)
		child.Env = append(os.Environ(), envWorker+"=sleeps")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("grandchild", child.Process.Pid)
		time.Sleep(time.Hour)
	case "shouts": // more than any pipe and any buffer takes, then nothing more
		line := strings.Repeat("x", 1023) + "\n"
		for range 8 << 10 {
			fmt.Print(line)
		}
		if err := os.WriteFile("shouted-"+strings.ReplaceAll(name, "/", "-"), nil, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		time.Sleep(time.Hour)
	case "sleeps":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "serves":
		return serve(name)
	case "speaks":
		self := &actor.Kind[actor.None]{Name: "speaker"}
		if err := actor.Serve(context.Background(), "fd:"+os.Getenv(actor.EnvFD), self, actor.JoinOptions{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// serve says its name to whoever connects to the first socket it was handed.
func serve(name string) int {
	if n, err := strconv.Atoi(os.Getenv("LISTEN_FDS")); err != nil || n < 1 || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		fmt.Fprintf(os.Stderr, "LISTEN_FDS=%q LISTEN_PID=%q pid %d\n", os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID"), os.Getpid())
		return 1
	}
	l, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Fprint(c, name)
		_ = c.Close()
	}
}

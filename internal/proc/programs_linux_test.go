package proc

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// morePrograms returns those that take Linux.
func morePrograms() map[string]func(args []string) {
	return map[string]func(args []string){"eat": eat, "runaway": runaway, "forker": forker, "arbiter": arbiter, "headless": headless}
}

// headless ends its first thread, and goes on.
func headless([]string) {
	fmt.Println("ready", os.Getpid())
	time.AfterFunc(time.Minute, func() { os.Exit(0) })
	for {
		done := make(chan struct{})
		go func() { // until it is the first thread that this is run by
			runtime.LockOSThread()
			if unix.Gettid() == unix.Getpid() {
				_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
			}
			defer runtime.UnlockOSThread()
			close(done)
		}()
		<-done
		time.Sleep(time.Millisecond)
	}
}

// eat holds as many MiB of memory as it is told, and says so.
func eat(args []string) {
	var n int
	_, err := fmt.Sscan(args[0], &n)
	must(err)
	memory := make([]byte, n<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	fmt.Println("eaten", len(memory))
	time.Sleep(time.Minute)
}

// runaway becomes a grandchild's child: with a session of its own, its parents gone,
// deaf to what asks it to end. With "hidden" it has no environment that tells.
func runaway(args []string) {
	signal.Ignore(signals...)
	how, tag := args[0], args[1]
	next, ok := map[string]string{
		"": "middle", "middle": "away",
		"hidden": "hidden middle", "hidden middle": "hidden away",
	}[how]
	if !ok {
		fmt.Println("away", os.Getpid())
		time.Sleep(time.Minute)
		return
	}
	cmd := exec.Command(os.Args[0], next, tag)
	cmd.Env = os.Environ()
	if strings.HasPrefix(next, "hidden") {
		cmd.Env = []string{envProgram + "=runaway"}
	}
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(cmd.Start())
}

// forker starts one process after the other, each of which leaves some behind.
func forker(args []string) {
	fmt.Println("forks")
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		cmd := exec.Command("/bin/sh", "-c", "(sleep 0.2; sleep 0.2) & (sleep 0.3 & :) & :", args[0])
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		_ = cmd.Run()
	}
}

// arbiter starts what is hard to end, and waits to be killed.
func arbiter(args []string) {
	how, tag := args[0], args[1]
	f := NewFamily(testSelf, FamilyOptions{NoCgroups: how == "without"})
	child := func(name string, args ...string) {
		s := program(name, args...)
		said := make(chan struct{}, 1)
		s.Stdout = func([]byte) {
			select {
			case said <- struct{}{}:
			default:
			}
		}
		_, err := f.Start(s)
		must(err)
		<-said
	}
	child("stubborn", tag)
	child("runaway", "", tag)
	child("forker", tag)
	fmt.Println("guard", f.guard.pid())
	for _, dir := range f.cgroups.dirs() {
		fmt.Println("cgroup", dir)
	}
	fmt.Println("started")
	if how == "leave" { // without a word to its family
		os.Exit(0)
	}
	time.Sleep(time.Minute)
}

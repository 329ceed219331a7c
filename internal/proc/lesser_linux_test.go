package proc

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// envForbidden names what the kernel refuses to a process of tests: see lesserKernels.
const envForbidden = "PROC_TEST_FORBIDDEN"

// refused is a system call that a kernel does not know, or a container does not allow.
type refused struct {
	call  uintptr
	first uint32 // refused only with this first argument; 0: with any
	errno unix.Errno
}

// lesserKernels are what is seen of some.
var lesserKernels = map[string][]refused{
	"before 5.11": {{unix.SYS_CLOSE_RANGE, 0, unix.ENOSYS}},
	"before 5.4":  {{unix.SYS_CLOSE_RANGE, 0, unix.ENOSYS}, {unix.SYS_WAITID, unix.P_PIDFD, unix.EINVAL}},
	"before 5.3":  {{unix.SYS_CLOSE_RANGE, 0, unix.ENOSYS}, {unix.SYS_WAITID, unix.P_PIDFD, unix.EINVAL}, {unix.SYS_PIDFD_OPEN, 0, unix.ENOSYS}},
	"a container that forbids what it does not know": {{unix.SYS_PIDFD_OPEN, 0, unix.EPERM}, {unix.SYS_CLOSE_RANGE, 0, unix.EPERM}},
	"one that forbids signals by pidfd":              {{unix.SYS_PIDFD_SEND_SIGNAL, 0, unix.EPERM}},
}

// forbid has the kernel refuse that to this process, and all that it starts: seccomp(2).
func forbid(all []refused) error {
	const number, argument = 0, 16 // in struct seccomp_data; the low half of the first argument
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	unless := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: skip}
	}
	returns := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	var filter []unix.SockFilter
	for _, r := range all {
		refuse := returns(unix.SECCOMP_RET_ERRNO | uint32(r.errno))
		filter = append(filter, load(number))
		if r.first != 0 {
			filter = append(filter, unless(uint32(r.call), 3), load(argument), unless(r.first, 1), refuse)
		} else {
			filter = append(filter, unless(uint32(r.call), 1), refuse)
		}
	}
	filter = append(filter, returns(unix.SECCOMP_RET_ALLOW))
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno
	}
	return nil
}

func init() {
	if name := os.Getenv(envForbidden); name != "" && os.Getenv(envProgram) == "" {
		must(forbid(lesserKernels[name]))
	}
}

// TestLesserKernels: processes are started, waited for and ended, with all that is theirs, and
// inherit nothing, where the kernel lacks some of what that is done with, too.
func TestLesserKernels(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const tests = "^(TestExit|TestSignal|TestKill|TestKillReachesTheGroup|TestStopReachesTheGroup|TestNothingElseIsInherited|TestHuntOfHeadless|TestFamilyExit|TestFamilyCloses|TestFamilyQuickExits)$"
	for name := range lesserKernels {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			// Not in parallel: what one hunts is called as what another has.
			cmd := exec.Command(exe, "-test.run", tests, "-test.v")
			cmd.Env = append(os.Environ(), envForbidden+"="+name)
			out, err := cmd.CombinedOutput()
			if bytes.Contains(out, []byte("function not implemented\n")) && bytes.Contains(out, []byte("test program: ")) {
				t.Skip("no seccomp in this kernel: that processes are kept where calls are missing was not tried")
			}
			if n := bytes.Count(out, []byte("\n--- PASS: ")) + bytes.Count(out, []byte("\n--- SKIP: ")); err != nil || n < 10 {
				t.Errorf("%v, %d tests passed:\n%s", err, n, fail(out))
			}
		})
	}
}

// fail is what out says of what failed.
func fail(out []byte) string {
	var b strings.Builder
	keep := false
	for line := range strings.Lines(string(out)) {
		switch {
		case strings.HasPrefix(line, "=== "):
			keep = false
		case strings.Contains(line, "--- FAIL"), strings.HasPrefix(line, "panic"):
			keep = true
		}
		if keep || strings.Contains(line, "_test.go:") {
			fmt.Fprint(&b, line)
		}
	}
	return b.String()
}

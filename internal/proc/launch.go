package proc

import (
	"os"
	"runtime"
	"slices"
	"strings"
)

// launch is what the system is asked to start.
type launch struct {
	path    string
	argv    []string
	env     []string // nil: ours
	dir     string
	files   []*os.File // its descriptors
	cgroup  *os.File   // of version 2, where it begins its life; nil: where we are
	tasks   []string   // of its cgroups of version 1: the files by which a thread enters them
	session bool       // it leads a session of its own, not just a group
}

// Variable returns the name of v, which is "NAME=value", as the system compares it: on
// Windows it is told in upper case. It is "" for what is no variable.
func Variable(v string) string {
	if v == "" {
		return ""
	}
	end := strings.IndexByte(v[1:], '=') + 1 // that of "=C:=C:\dir", which Windows has, is "=C:"
	if runtime.GOOS == "windows" {
		return strings.ToUpper(v[:end])
	}
	return v[:end]
}

// lastOfEach returns env with each variable once, as it was set last: of one that is
// there twice most programs see the first (getenv of the C library, Python, Go).
func lastOfEach(env []string) []string {
	if env == nil {
		return nil // ours
	}
	seen := make(map[string]bool, len(env))
	last := make([]string, 0, len(env))
	for _, v := range slices.Backward(env) {
		name := Variable(v)
		if name == "" || !seen[name] {
			last = append(last, v)
		}
		seen[name] = true
	}
	slices.Reverse(last)
	return last
}

// setEnv returns env with key=value in place of what it has of key.
func setEnv(env []string, key, value string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return Variable(v) == key })
	return append(env, key+"="+value)
}

func getEnv(env []string, key string) string {
	for _, v := range slices.Backward(env) {
		if Variable(v) == key {
			return v[len(key)+1:]
		}
	}
	return ""
}

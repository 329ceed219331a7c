package proc

import (
	"os"
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

// setEnv returns env with key=value in place of what it has of key.
func setEnv(env []string, key, value string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, key+"=") })
	return append(env, key+"="+value)
}

func getEnv(env []string, key string) string {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, key+"="); ok {
			return value
		}
	}
	return ""
}

//go:build unix

package proc

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
)

// resources returns the numbers of the resources that Rlimit names.
func resources() map[string]int {
	all := map[string]int{
		"core": syscall.RLIMIT_CORE, "cpu": syscall.RLIMIT_CPU, "data": syscall.RLIMIT_DATA,
		"fsize": syscall.RLIMIT_FSIZE, "nofile": syscall.RLIMIT_NOFILE, "stack": syscall.RLIMIT_STACK,
	}
	maps.Copy(all, moreResources())
	return all
}

// checkRlimits says what is wrong with limits before a process is started for them.
func checkRlimits(limits []Rlimit) error {
	known := resources()
	for _, l := range limits {
		if _, ok := known[l.Name]; !ok {
			return fmt.Errorf("there is no limit %q here, only %q", l.Name, slices.Sorted(maps.Keys(known)))
		}
	}
	return nil
}

// set bounds this process.
func (l Rlimit) set() error {
	value := syscall.Rlimit{Cur: rlim(l.Soft), Max: rlim(max(l.Soft, l.Hard))}
	return syscall.Setrlimit(resources()[l.Name], &value)
}

//go:build !linux

package proc

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
)

// cgroups are Linux's.
type cgroups struct{ noClone atomic.Bool }

func openCgroups(string) (*cgroups, []string) {
	return nil, []string{"no cgroups on " + runtime.GOOS + ": " + noMemoryBounds + " and processes, and nobody tells what ended for want of memory"}
}

func (*cgroups) close() []string { return nil }
func (*cgroups) dirs() []string  { return nil }

func (*cgroups) newGroup(string, *Spec) (*group, []string) { return nil, nil }

type group struct{}

func (*group) entrance() (*os.File, []string) { return nil, nil }
func (*group) moved() []string                { return nil }
func (*group) pids() ([]int, bool)            { return nil, false }
func (*group) kill() error                    { return nil }
func (*group) counts(string) bool             { return false }
func (*group) oomKills() int                  { return 0 }
func (*group) memory() (int64, bool)          { return 0, false }
func (*group) remove()                        {}

func setFile(string, string) error { return errors.ErrUnsupported }

func killCgroups([]string) error { return nil }

func removeCgroup(string) bool { return true }

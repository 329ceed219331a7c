package arbiter

import (
	"fmt"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

const (
	// leastBudget is the smallest MemoryBudget there may be, and leastDefault the smallest
	// that is chosen here.
	leastBudget  = 1 << 20
	leastDefault = 64 << 20
	// unknownMemory is taken for what a system has that does not say.
	unknownMemory = 1 << 30
)

// newBudget returns the budget that the options ask for.
func newBudget(wanted int64) (*peer.Budget, error) {
	switch {
	case wanted == 0:
		return peer.NewBudget(max(availableMemory()/2, leastDefault)), nil
	case wanted < leastBudget:
		return nil, fmt.Errorf("a memory budget of %d bytes is too small: give at least %d (1 MiB), or 0 for half of what there is", wanted, leastBudget)
	}
	return peer.NewBudget(wanted), nil
}

// availableMemory returns how many bytes this process may use: the least of GOMEMLIMIT,
// the limits of its control groups and what the machine has.
func availableMemory() int64 {
	least := int64(unknownMemory)
	if n := physicalMemory(); n > 0 {
		least = n
	}
	if n := debug.SetMemoryLimit(-1); n > 0 && n < math.MaxInt64 {
		least = min(least, n)
	}
	return min(least, groupMemory("/"))
}

// groupMemory returns the least of the memory limits of the control groups that this
// process is in, whose files are found below root; math.MaxInt64 if there is none.
//
// Of version 2 it looks at memory.max of its own group and of all above
// (Documentation/admin-guide/cgroup-v2.rst), of version 1 at memory.limit_in_bytes. In a
// container the path may be one outside of it: then the group is the root of what is seen.
func groupMemory(root string) int64 {
	least := int64(math.MaxInt64)
	groups, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if controllers == "memory" {
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if controllers != "" {
			continue
		}
		for at := path.Join("/", group); ; at = path.Dir(at) {
			least = min(least, readLimit(path.Join(root, mount, at, file)))
			if at == "/" {
				break
			}
		}
	}
	return least
}

// readLimit reads a number of bytes; what is none, such as "max", is no limit.
func readLimit(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}

// errMemory is the error of a message for which there is no room in the budget.
func errMemory(started wire.Started) *wire.Error {
	return wire.Errorf(wire.CodeOverloaded, "%v by this arbiter; try again later", peer.ErrBudget).With(started)
}

// What a session holds beside messages, in bytes, as far as its peer decides how much.
const (
	callCost  = 256 // a call in flight: its notes at both ends
	watchCost = 256
	// A connection may have freeCalls in flight that are not counted, like the buffer it
	// reads with: what has next to nothing to do costs nothing to count. The others are
	// counted so many at a time.
	freeCalls = 64
	callBatch = 64
)

// affordCallLocked reports whether there is memory for the call that was just added to
// asked.
func (s *session) affordCallLocked() bool {
	if s.asked.len() <= freeCalls+s.paid {
		return true
	}
	if s.conn.Admit(callBatch*callCost) != nil {
		return false
	}
	s.paid += callBatch
	return true
}

// refundLocked gives back what the calls that ended took.
func (s *session) refundLocked() {
	if s.paid > 0 && freeCalls+s.paid-s.asked.len() >= 2*callBatch {
		s.paid -= callBatch
		s.conn.Dismiss(callBatch * callCost)
	}
}

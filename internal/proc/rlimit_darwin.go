package proc

import "golang.org/x/sys/unix"

func moreResources() map[string]int {
	return map[string]int{"as": unix.RLIMIT_AS, "memlock": unix.RLIMIT_MEMLOCK, "nproc": unix.RLIMIT_NPROC}
}

// rlim turns Unlimited into what it is here.
func rlim(v uint64) uint64 { return min(v, unix.RLIM_INFINITY) }

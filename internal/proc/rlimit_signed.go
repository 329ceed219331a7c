//go:build freebsd || dragonfly

package proc

func moreResources() map[string]int { return nil }

// rlim turns Unlimited into what it is here.
func rlim(v uint64) int64 { return int64(min(v, 1<<63-1)) }

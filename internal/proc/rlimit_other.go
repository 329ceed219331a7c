//go:build unix && !linux && !darwin && !freebsd && !dragonfly

package proc

func moreResources() map[string]int { return nil }

func rlim(v uint64) uint64 { return v }

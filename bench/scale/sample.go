package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// sample is what a process uses.
type sample struct {
	RSS        int64 // bytes resident; 0 where that is not known
	Heap       int64 // bytes of the heap, with garbage
	Stacks     int64 // bytes of stacks in use
	Goroutines int
	Files      int           // descriptors that are open; 0 where that is not known
	CPU        time.Duration // since it began
	At         time.Time
}

type sampleArgs struct{ Collect bool } // without garbage

func takeSample(_ context.Context, in sampleArgs) (sample, error) {
	if in.Collect {
		runtime.GC()
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{
		RSS: resident(os.Getpid()), Heap: int64(m.HeapAlloc), Stacks: int64(m.StackInuse),
		Goroutines: runtime.NumGoroutine(), Files: files(), CPU: processor(), At: time.Now(),
	}, nil
}

// files returns how many descriptors this process has open, where /proc says so.
func files() int {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(all) - 1 // that of the folder itself
}

// resident returns how many bytes of a process are in memory, where /proc says so.
func resident(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// peak watches how much of a process is in memory, until it is called.
func peak(pid int) func() int64 {
	quit, highest := make(chan struct{}), make(chan int64)
	go func() {
		most := resident(pid)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, resident(pid))
			case <-quit:
				highest <- most
				return
			}
		}
	}()
	return func() int64 { close(quit); return <-highest }
}

package proc

import "time"

// Usage is what a process uses itself, without its descendants, at one moment.
type Usage struct {
	// RSS is the memory it has in use, in bytes, with what it shares with others.
	// The system counts it a little late: it may be some hundred KiB off for every
	// processor.
	RSS int64

	// CPU is what its threads have used of processors since it began, those that
	// have ended included, in steps of 10 ms. It grows in a process that spins, and
	// does not in one that was stopped or waits.
	CPU time.Duration

	Threads int

	// State is the letter of proc_pid_stat(5): R runs, S waits, D waits for a device,
	// T was stopped, t is held by a debugger, Z has ended, I is idle. It is that of
	// the first thread only: a process may spin while it is S. But a process that is
	// stopped is so in all of its threads.
	State byte
}

// Stopped reports whether somebody has stopped the process, by SIGSTOP or as a
// debugger does, and not let it go on.
func (u Usage) Stopped() bool { return u.State == 'T' || u.State == 't' }

// Exiting reports whether the process is seen to exit, or has (Linux): before Exited
// is closed, its files are.
func (p *Process) Exiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reaped || exiting(p.os.Pid)
}

// Wanted is how long the threads the process has now have run, or were ready to run
// and others were on the processor (Linux). Unlike Usage.CPU it grows as the time
// does in a process that spins on a busy machine, too. It is 0 where that is not
// told, and after the end; when a thread ends, it is less than before.
func (p *Process) Wanted() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return 0
	}
	return wantedBy(p.os.Pid)
}

// Usage tells what the process uses now: some microseconds on Linux. It reports
// false after its end. Elsewhere it does so always: who stopped a process, and
// which one spins, is not told there.
func (p *Process) Usage() (Usage, bool) {
	p.mu.Lock()
	defer p.mu.Unlock() // until it is reaped its pid is nobody else's
	if p.reaped {
		return Usage{}, false
	}
	return usageOf(p.os.Pid)
}

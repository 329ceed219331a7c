package proc

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// member is what a family knows of one of its processes. A nil member is that of a
// process without a family.
type member struct {
	family *Family
	group  *group
	p      *Process

	// How many of its cgroup were ended for want of memory, guarded by p.mu.
	look     *time.Timer // for it; nil: nobody counts them
	seen     int         // by the last look
	outlived int         // by the one before: it has not ended of these
}

// oomEvery is how often it is looked whether a process outlives others of its cgroup that
// were ended for want of memory.
const oomEvery = 5 * time.Second

// start starts l, in its cgroup, and has the guard told.
func (m *member) start(p *Process, s *Spec, l *launch) (*os.File, error) {
	if m == nil {
		return p.start(l)
	}
	m.p = p
	handle, err := m.enter(s, l)
	if err != nil {
		return nil, err
	}
	f := m.family
	if m.group.counts("memory") {
		p.mu.Lock()
		m.look = time.AfterFunc(f.oomEvery, m.outlive)
		p.mu.Unlock()
	}
	f.mu.Lock()
	f.living[p] = struct{}{}
	f.mu.Unlock()
	f.guard.add(p.PID())
	return handle, nil
}

// enter starts l by the way its cgroup and its bounds take.
func (m *member) enter(s *Spec, l *launch) (*os.File, error) {
	born, tasks := m.group.entrance()
	var join []string
	if born == nil {
		join = m.group.moved()
	}
	handle, err := m.startWith(s, l, born, tasks, join)
	if err == nil || born == nil || m.family.self == nil || !mayBeClone(err) {
		return handle, err
	}
	// What cannot be born in a cgroup, because a container forbids it, can still be
	// moved there. Or it is the program that cannot be started: then it still cannot.
	handle, again := m.startWith(s, l, nil, tasks, m.group.moved())
	if again != nil {
		return nil, err
	}
	m.family.cgroups.noClone.Store(true)
	m.family.lack("processes are not born in their cgroup but enter it: clone3: " + err.Error())
	return handle, nil
}

// mayBeClone reports whether err may be that of a clone3 that is forbidden, or does
// not know cgroups.
func mayBeClone(err error) bool {
	for _, e := range []error{syscall.ENOSYS, syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.EOPNOTSUPP, syscall.EBUSY, syscall.E2BIG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// startWith starts l: born in a cgroup of version 2, by a thread that enters those of
// version 1 by tasks, or by a helper that enters those it cannot be born in by join.
func (m *member) startWith(s *Spec, l *launch, born *os.File, tasks, join []string) (*os.File, error) {
	l.cgroup, l.tasks = born, tasks
	switch {
	case m.family.self != nil && (s.prepared() || len(join) > 0):
		return m.p.startPrepared(m.family.self, s, l, join)
	case s.prepared():
		return nil, errors.New("limits, another user, a umask and listening sockets take a helper: call proc.Hook at the top of main")
	case len(join) > 0:
		m.family.lack("processes are outside of the cgroups that only they could enter: no helper, because proc.Hook is not called at the top of main")
	}
	return m.p.start(l)
}

// ends is called when the process has ended, before it is reaped: what it leaves
// behind ends with it, and its pid may soon be another's.
func (m *member) ends() {
	if m == nil {
		return
	}
	if err := m.group.kill(); err != nil {
		m.family.options.Logger.Warn("what a process left behind could not be ended", "pid", m.p.PID(), "error", err)
	}
	m.family.guard.drop(m.p.PID())
}

// outlive notes that the process goes on though others of its cgroup may have ended for
// want of memory. What has just begun to exit may be doing so because of that.
func (m *member) outlive() {
	n, exiting := m.group.oomKills(), m.p.Exiting()
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	if m.p.reaped || exiting {
		return
	}
	m.outlived, m.seen = m.seen, n
	m.look.Reset(m.family.oomEvery)
}

// explain adds to e what the cgroup knows of the end. killed says that it was our
// doing. p.mu is held.
func (m *member) explain(e *Exit, killed bool) {
	if m == nil {
		return
	}
	if m.look != nil {
		m.look.Stop()
	}
	e.OOMKills = m.group.oomKills()
	// A shell says of a child that was killed, and was all it ran: 128+9.
	e.OutOfMemory = e.OOMKills > m.outlived && !killed && (e.Signal == "killed" || e.Code == 128+9)
}

// kill ends what is in the cgroup.
func (m *member) kill() error {
	if m == nil {
		return nil
	}
	return m.group.kill()
}

// pids returns what is in its cgroup, if it has one.
func (m *member) pids() (pids []int, ok bool) {
	if m == nil {
		return nil, false
	}
	return m.group.pids()
}

// leave is the end of the membership.
func (m *member) leave() {
	if m == nil {
		return
	}
	m.group.remove()
	m.family.mu.Lock()
	delete(m.family.living, m.p)
	m.family.mu.Unlock()
}

// Memory returns how many bytes the process and its descendants use together, as
// its cgroup counts: with what the system caches of the files they read and wrote.
// It reports false where there is no cgroup that counts, and after the end.
func (p *Process) Memory() (bytes int64, ok bool) {
	if p.member == nil {
		return 0, false
	}
	return p.member.group.memory()
}

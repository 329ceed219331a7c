//go:build unix && !linux

package proc

import "os"

// watchParent does nothing: the end of file has to do.
func watchParent(int, *os.File) {}

// endGroups ends the process group of every root. It was not reaped when its parent
// ended, and a moment later its number is hardly another's. Descent is looked at before: with
// the roots it ends.
func (h *hunt) endGroups() {
	all, _ := processes()
	found := doomed(all, h)
	for pid := range h.roots {
		_ = killGroup(pid)
	}
	for _, e := range found {
		endProcess(e)
	}
}

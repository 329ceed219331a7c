//go:build unix

package arbiter

import "testing"

// TestDeadOrThread: dead is who has no threads but the one that has ended, and what says
// nothing of this is taken to live.
func TestDeadOrThread(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tState:\nState:\tS (sleeping)\nTgid:\t7\nThreads:\t3\n": false,
		"State:\tZ (zombie)\nTgid:\t7\nThreads:\t1\n":                  true,
		"State:\tX (dead)\nTgid:\t7\nThreads:\t0\n":                    true,
		"State:\tZ (zombie)\nTgid:\t7\nThreads:\t2\n":                  false,
		"State:\tS (sleeping)\nTgid:\t5\nThreads:\t3\n":                true,
		"sh 7 1 7 7 5,0 ctty 1,2 0,0\n":                                false,
		"":                                                             false,
	} {
		if got := deadOrThread(7, status); got != want {
			t.Errorf("%q: %v, want %v", status, got, want)
		}
	}
}

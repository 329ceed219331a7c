package arbiter

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestGroupMemory: the least limit of the control groups that a process is in, of either
// version, also where the path is one that is not seen.
func TestGroupMemory(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"no groups", nil, math.MaxInt64},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, math.MaxInt64},
		{"its own", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 1000},
		{"one above", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n", "sys/fs/cgroup/a/memory.max": "500\n"}, 500},
		{"a container", map[string]string{"proc/self/cgroup": "0::/../x\n", "sys/fs/cgroup/memory.max": "700\n"}, 700},
		{"version 1", map[string]string{"proc/self/cgroup": "5:cpu:/c\n4:memory:/m\n", "sys/fs/cgroup/memory/m/memory.limit_in_bytes": "900\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 900},
		{"nonsense", map[string]string{"proc/self/cgroup": "0::/a\nx\n", "sys/fs/cgroup/a/memory.max": "-5\n"}, math.MaxInt64},
	} {
		root := t.TempDir()
		for name, text := range test.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := groupMemory(root); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	if _, err := newBudget(1000); err == nil {
		t.Error("a budget of 1,000 bytes was taken")
	}
	if b, err := newBudget(0); err != nil || b.Limit() < leastDefault {
		t.Errorf("by default it is %d, %v", b.Limit(), err)
	}
}

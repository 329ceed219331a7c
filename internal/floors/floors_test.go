package floors

import "testing"

func TestFloors(t *testing.T) { Check(t) }

func TestPermitted(t *testing.T) {
	for _, c := range []struct {
		path    string
		allowed []string
		want    bool
	}{
		{"net/http", nil, true},
		{Module, nil, false},
		{Module, []string{"."}, true},
		{Module + "/actor", []string{"internal/wire"}, false},
		{Module + "/internal/wire", []string{"internal/wire"}, true},
		{"golang.org/x/sys/unix", []string{"golang.org/x/sys"}, true},
		{"golang.org/x/system", []string{"golang.org/x/sys"}, false},
		{"github.com/spf13/cobra", nil, false},
	} {
		if got := permitted(c.path, c.allowed); got != c.want {
			t.Errorf("permitted(%q, %v) = %v, want %v", c.path, c.allowed, got, c.want)
		}
	}
}

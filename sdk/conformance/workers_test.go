package conformance

import (
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// worker is the conformance worker of one language. Its last argument is the
// variant: serial, interleaved, concurrent, or small, which is serial with room for
// four messages.
type worker struct {
	name  string
	run   []string
	basic bool // it has only what a first worker needs: the cases marked so
}

var workers = []worker{
	{name: "python", run: []string{python(), "../python/conformance_worker.py"}},
	{name: "node", run: []string{"node", "../node/conformance_worker.mjs"}},
	{name: "perl", run: []string{"perl", "../perl/worker.pl"}, basic: true},
}

// python returns the interpreter itself. What is called python3 may be a script that
// looks for it, at a price to be paid once and not with every worker.
var python = sync.OnceValue(func() string {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if path := strings.TrimSpace(string(out)); err == nil && path != "" {
		return path
	}
	return "python3"
})

// need skips the test where the language is not installed.
func (w worker) need(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath(w.run[0]); err != nil {
		t.Skipf("%s is not installed here: nothing was checked", w.run[0])
	}
}

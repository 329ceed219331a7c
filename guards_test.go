package arbiter

import (
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	guards   = flag.Bool("guards", false, "take away each guard of testdata/guards and look whether a test fails")
	guardsOf = flag.String("guards.only", "", "a regular expression of those that are looked at")
)

// guardTime bounds one run of tests without a guard. What hangs has failed.
const guardTime = 3 * time.Minute

// TestGuards takes away each guard, in a copy of the tree, and wants a test to fail:
//
//	go test -run TestGuards -guards -v -timeout 60m .
//
// A guard is a patch in testdata/guards. Before the patch it says what it guards and, in
// a line that begins with "Test:", which package and tests are to notice.
func TestGuards(t *testing.T) {
	if !*guards {
		t.Skip("it runs tests once for each guard, for ten minutes: -guards")
	}
	only := regexp.MustCompile(*guardsOf)
	patches, err := filepath.Glob("testdata/guards/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("no guards: %v", err)
	}
	tree := t.TempDir()
	if err := os.CopyFS(tree, sources{os.DirFS(".")}); err != nil {
		t.Fatal(err)
	}
	for _, path := range patches {
		name := strings.TrimSuffix(filepath.Base(path), ".patch")
		if !only.MatchString(name) {
			continue
		}
		t.Run(name, func(t *testing.T) { unguarded(t, tree, path) })
	}
}

// TestGuardsFit: the patches fit the code as it is, so that a change takes its guard along.
func TestGuardsFit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git to apply patches with")
	}
	patches, err := filepath.Glob("testdata/guards/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("no guards: %v", err)
	}
	for _, path := range patches {
		if out, err := exec.Command("git", "apply", "--check", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// unguarded runs the tests of one guard without it.
func unguarded(t *testing.T, tree, path string) {
	patch, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, test, ok := strings.Cut(string(patch), "\nTest: ")
	test, _, _ = strings.Cut(test, "\n")
	if !ok {
		t.Fatal("it does not say which test is to fail")
	}
	path, err = filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(flags ...string) {
		cmd := exec.Command("git", append(append([]string{"apply"}, flags...), path)...)
		cmd.Dir = tree
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("the patch does not fit any more: %v\n%s", err, out)
		}
	}
	apply()
	defer apply("-R")
	began := time.Now()
	args := append([]string{"test", "-count=1", "-failfast", "-timeout", guardTime.String()}, strings.Fields(test)...)
	cmd := exec.Command("go", args...)
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("nobody misses it: go test %s", test)
	case !strings.Contains(string(out), "--- FAIL") && !strings.Contains(string(out), "panic:"):
		t.Errorf("go test %s did not run: %v\n%s", test, err, out)
	default:
		t.Logf("missed after %v: %s", time.Since(began).Round(time.Millisecond), firstFailure(string(out)))
	}
}

// firstFailure is the line that says most about why a test failed.
func firstFailure(out string) string {
	lines := strings.Split(out, "\n")
	for n, line := range lines {
		if strings.Contains(line, "_test.go:") || strings.HasPrefix(line, "panic:") {
			return strings.TrimSpace(lines[n])
		}
	}
	return "?"
}

// sources is a tree without what no test needs.
type sources struct{ fs.FS }

func (s sources) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(s.FS, name)
	kept := all[:0]
	for _, e := range all {
		if name != "." || e.Name() != ".git" && e.Name() != "bench" {
			kept = append(kept, e)
		}
	}
	return kept, err
}

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The test binary is the example when this is set.
const envExample = "ARBITER_TEST_EXAMPLE"

func TestMain(m *testing.M) {
	if os.Getenv(envExample) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestExample(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envExample+"=1", "XDG_RUNTIME_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"tally says 5", "tally says 15", "a counter only goes up"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output has no %q:\n%s", want, out)
		}
	}
}

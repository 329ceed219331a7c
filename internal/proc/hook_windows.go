package proc

import (
	"fmt"
	"os"
)

// self returns nil: no socket can be inherited here, and without one there is no
// helper.
func self() *Self { return nil }

func help(string, int) int {
	fmt.Fprintf(os.Stderr, "arbiter: %s is set, but there are no such helpers on windows: unset it\n", envHelper)
	return exitNoHelper
}

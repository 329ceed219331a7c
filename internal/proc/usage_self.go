package proc

import "os"

// OwnUsage tells what this process uses: see Process.Usage.
func OwnUsage() (Usage, bool) { return usageOf(os.Getpid()) }

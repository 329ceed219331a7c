package arbiter

import "os"

var otherSignals map[string]os.Signal

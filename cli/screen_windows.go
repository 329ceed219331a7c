package cli

import "os"

func terminalSize(*os.File) (columns, rows int, ok bool) { return 0, 0, false }

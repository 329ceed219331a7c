package cli

import (
	"errors"
	"os"
)

func freeze(*os.Process) error { return errors.New("this system does not stop a process where it is") }

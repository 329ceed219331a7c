//go:build unix && !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package proc

import "errors"

func awaitEnd(int) error { return errors.ErrUnsupported }

//go:build !linux && !darwin

package proc

import "errors"

func peerCred(int) (pid, uid int, err error) { return 0, -1, errors.ErrUnsupported }

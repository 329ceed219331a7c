//go:build !linux && !darwin

package proc

import "errors"

func processes() ([]entry, error)    { return nil, errors.ErrUnsupported }
func startOf(int) (uint64, error)    { return 0, errors.ErrUnsupported }
func startNow() uint64               { return 0 }
func hasInstance(entry, string) bool { return false }
func endProcess(entry)               {}

//go:build !linux

package parker

type place struct{}

func (p *Parker) open() bool  { return false }
func (p *Parker) close() bool { return false }
func (p *Parker) wait() bool  { return false }
func (p *Parker) wake()       {}

package proc

import (
	"errors"
	"os"
	"time"
)

// pump reads one pipe to its end, line by line.
type pump struct {
	r     *os.File
	lines lines // owned by run
}

// run reads until every holder of the pipe's other end has closed it, or until
// the time endWithin set. Then it closes the pipe.
func (p *pump) run() {
	defer p.r.Close()
	for {
		n, err := p.r.Read(p.lines.space())
		p.lines.add(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// What the process itself wrote is in the pipe already, perhaps unread:
			// on a busy machine this goroutine may not have run in the meantime.
			p.readBuffered()
		}
		if err != nil {
			p.lines.end()
			return
		}
	}
}

// endWithin makes run end after d at the latest, but for what emit takes.
func (p *pump) endWithin(d time.Duration) {
	if p.r.SetReadDeadline(time.Now().Add(d)) == nil {
		return
	}
	// Pipes know no deadlines here, but closing one ends a read. If run has closed
	// it before, that is an error nobody needs.
	time.AfterFunc(d, func() { p.r.Close() })
}

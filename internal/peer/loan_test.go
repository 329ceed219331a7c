package peer

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// lender is a transport that counts who reads in which way.
type lender struct {
	*PipeEnd
	loans, reads atomic.Int64
}

func (l *lender) Read(b []byte) (int, error) {
	l.reads.Add(1)
	return l.PipeEnd.Read(b)
}

func (l *lender) ReadLoan(loan frame.Loan) (int, error) {
	l.loans.Add(1)
	return l.PipeEnd.ReadLoan(loan)
}

// A Conn has no buffer of its own while nothing comes, also behind a Chooser.
func TestConnLendsItsBuffer(t *testing.T) {
	for name, over := range map[string]func(Transport) Transport{
		"as it is":         func(t Transport) Transport { return t },
		"behind a Chooser": func(t Transport) Transport { return Choose(t, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var l *lender
			e, p := byHandOver(t, Options{Logger: quiet}, DefaultWindow, func(p *PipeEnd) Transport {
				l = &lender{PipeEnd: p}
				return over(l)
			})
			before := l.reads.Load()
			for range 3 {
				p.say(&wire.Message{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Command: []byte("a")})
			}
			for len(e.got()) < 3 {
				runtime.Gosched()
			}
			if l.loans.Load() == 0 || l.reads.Load() != before {
				t.Errorf("%d reads with a loan, and %d without", l.loans.Load(), l.reads.Load()-before)
			}
		})
	}
}

// Sockets that wait share the buffers of those that read.
func TestSocketsLend(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			const many = 64
			var (
				buffers frame.Buffers
				far     [many]net.Conn
				read    = make(chan int)
			)
			for i := range many {
				ours, theirs := connected(t, network)
				far[i] = theirs
				r := frame.NewReader(NewTransport(ours), frame.Options{Buffers: &buffers})
				go func() {
					for {
						_, payload, err := r.Next()
						if err != nil {
							return
						}
						read <- len(payload)
					}
				}()
			}
			message := frame.AppendFrame(nil, frame.Binary, make([]byte, 40<<10)) // which needs a buffer of 64 KiB
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for _, c := range far {
				if _, err := c.Write(message); err != nil {
					t.Fatal(err)
				}
				if n := <-read; n != 40<<10 {
					t.Fatalf("%d bytes", n)
				}
			}
			runtime.ReadMemStats(&after)
			// The race detector has a sync.Pool forget a quarter of what it is given.
			if took := after.TotalAlloc - before.TotalAlloc; runtime.GOOS == "linux" && took > many*64<<10/2 {
				t.Errorf("%d that read one after the other took %d KiB", many, took>>10)
			}
		})
	}
}

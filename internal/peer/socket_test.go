//go:build unix

package peer

import (
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// socketpair returns two connected sockets without names.
func socketpair(t *testing.T) (a, b net.Conn) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		t.Cleanup(func() { _ = ends[i].Close() })
	}
	return ends[0], ends[1]
}

func TestSocketInfo(t *testing.T) {
	for network, dial := range map[string]func() (net.Conn, net.Conn){
		"unix":       func() (net.Conn, net.Conn) { return connected(t, "unix") },
		"tcp":        func() (net.Conn, net.Conn) { return connected(t, "tcp") },
		"socketpair": func() (net.Conn, net.Conn) { return socketpair(t) },
	} {
		a, b := dial()
		for _, c := range [...]net.Conn{a, b} {
			info := NewTransport(c).Info()
			if info.Network != network {
				t.Errorf("%s: the network is %q", network, info.Network)
			}
			if runtime.GOOS != "linux" {
				continue
			}
			if pid := os.Getpid(); network == "tcp" {
				if info.PID != 0 || info.Remote == "" {
					t.Errorf("%s: %+v", network, info)
				}
			} else if info.PID != pid {
				t.Errorf("%s: process %d, want %d", network, info.PID, pid)
			}
		}
	}
}

// WriteSome waits until something is written, and not until all is.
func TestWriteSome(t *testing.T) {
	for _, network := range [...]string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			a, b := connected(t, network)
			s := NewTransport(a)
			buf := make([]byte, 16<<20)
			for n := -1; n != 0; {
				var err error
				if n, err = s.TryWrite(buf); err != nil {
					t.Fatal(err)
				}
			}
			read := make(chan struct{})
			go func() {
				defer close(read)
				_, _ = io.CopyN(io.Discard, b, 16<<20) // what the socket holds is less
				_ = b.Close()
			}()
			if n, err := WriteSome(s, buf); err != nil || n == 0 || n == len(buf) {
				t.Errorf("%d bytes were written, of %d: %v", n, len(buf), err)
			}
			for err := error(nil); err == nil; { // until the other end is gone, which may take a moment
				_, err = WriteSome(s, buf[:1<<20])
			}
			<-read
		})
	}
}

// TryWrite never waits, and says when a socket is full and when it is gone.
func TestTryWrite(t *testing.T) {
	for _, network := range [...]string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			a, b := connected(t, network)
			s := NewTransport(a)
			buf := make([]byte, 1<<20)
			total := 0
			for n := -1; n != 0; total += n {
				var err error
				if n, err = s.TryWrite(buf); err != nil {
					t.Fatal(err)
				}
			}
			if total == 0 {
				t.Fatal("nothing was written")
			}
			_ = b.Close()
			for { // a reset may take a moment to arrive
				if _, err := s.TryWrite(buf); err != nil {
					break
				}
			}
			_ = s.Close()
			if n, err := s.TryWrite(buf); err == nil {
				t.Errorf("a closed socket took %d bytes", n)
			}
		})
	}
}

// Within this machine the kernel takes more than it would by itself before who writes waits.
func TestDeepSockets(t *testing.T) {
	room := func(c net.Conn) (n int) {
		raw, err := c.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) {
			n, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, pair := range map[string]func() (a, b net.Conn){
		"unix":       func() (a, b net.Conn) { return connected(t, "unix") },
		"socketpair": func() (a, b net.Conn) { return socketpair(t) },
	} {
		a, b := pair()
		NewTransport(a)
		if deepened, itself := room(a), room(b); deepened <= itself && itself < deep {
			t.Errorf("%s: it takes %d bytes, and would take %d by itself", name, deepened, itself)
		}
	}
}

// Over real sockets: more than they hold, both ways at once, then a goodbye; and
// one end cut off in the middle.
func TestSockets(t *testing.T) {
	for _, network := range [...]string{"unix", "tcp"} {
		for _, cut := range [...]bool{false, true} {
			name := network
			if cut {
				name += " cut"
			}
			t.Run(name, func(t *testing.T) {
				window := wire.Window{Messages: 1 << 20, Bytes: 1 << 30}
				ca, cb := connected(t, network)
				o := Options{Window: window, Outbox: Limits{DataHard: 1 << 30}}
				a, b := &end{Conn: New(NewTransport(ca), o)}, &end{Conn: New(NewTransport(cb), o)}
				shake(t, a.Conn, b.Conn)
				a.run(t)
				b.run(t)
				const n, size = 100, 300 << 10
				for _, e := range [...]*end{a, b} {
					for range n {
						mustPost(t, e.Conn, Data, oneWay("bulk", size))
					}
				}
				a.Flush()
				b.Flush()
				if cut {
					_ = cb.(interface{ Close() error }).Close()
					_ = a.why()
					_ = b.why()
					for _, e := range [...]*end{a, b} {
						s := e.Stats()
						if got := s.MessagesOut - 1 + s.Dropped; got != n || s.Queued != [3]int{} {
							t.Errorf("%d written and %d dropped of %d, queued %v", s.MessagesOut-1, s.Dropped, n, s.Queued)
						}
					}
					return
				}
				if err := a.Goodbye(t.Context(), &wire.Death{Cause: wire.CauseStopped}); err != nil {
					t.Errorf("Goodbye: %v", err)
				}
				_ = b.why()
				got := b.got()
				if len(got) != n+1 || got[n].kind != wire.KindGoodbye || got[n-1].body != size {
					t.Errorf("%d messages came, want %d and a goodbye", len(got), n)
				}
			})
		}
	}
}

package arbiter

import (
	"container/list"
	"net"
	"sync"
)

// guests are the connections at one listener whose hello has not come yet. There are
// maxGuests at most. For one more the oldest has to go: who means it says hello within
// moments, and who only holds a place keeps nobody out.
type guests struct {
	mu  sync.Mutex
	all list.List // of *guest, the oldest first
}

// guest is one of them.
type guest struct {
	conn net.Conn
	at   *guests
	here *list.Element // nil: it has left, or was sent away; guarded by at.mu
	away bool          // sent away; likewise
}

// enter takes c in. It sends the oldest away if there are too many.
func (g *guests) enter(c net.Conn) *guest {
	one := &guest{conn: c, at: g}
	g.mu.Lock()
	one.here = g.all.PushBack(one)
	var oldest *guest
	if g.all.Len() > maxGuests {
		oldest = g.all.Remove(g.all.Front()).(*guest)
		oldest.here, oldest.away = nil, true
	}
	g.mu.Unlock()
	if oldest != nil {
		_ = oldest.conn.Close() // who serves it sees that, and counts it
	}
	return one
}

// leave says that the hello is over, one way or another, and returns why the guest was
// sent away if it was. It may be called again.
func (one *guest) leave() error {
	g := one.at
	g.mu.Lock()
	defer g.mu.Unlock()
	if one.away {
		return errGuests
	}
	if one.here != nil {
		g.all.Remove(one.here)
		one.here = nil
	}
	return nil
}

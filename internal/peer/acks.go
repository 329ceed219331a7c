package peer

import (
	"strconv"
	"sync"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// maxAcks is how many calls and watches a json peer may have at a time.
const maxAcks = 1 << 16

// acks maps what a json peer calls its calls and watches to ids of native messages,
// and back. An ack is in use from its request or watch until that has ended: then it
// may be used again, though its next id is another. All methods may be called from
// any goroutine.
type acks struct {
	mu   sync.Mutex
	last uint64 // id
	ids  map[string]uint64
	of   map[uint64]ackEntry
}

type ackEntry struct {
	ack      string
	watch    bool
	answered bool // of a watch: it stands
}

// add notes ack and returns its id. It returns 0 and false if the ack is in use, 0
// and true if there are too many.
func (a *acks) add(ack string, watch bool) (id uint64, free bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.ids[ack]; taken {
		return 0, false
	}
	if len(a.of) >= maxAcks {
		return 0, true
	}
	if a.ids == nil {
		a.ids, a.of = make(map[string]uint64), make(map[uint64]ackEntry)
	}
	a.last = a.last%wire.MaxID + 1
	a.ids[ack], a.of[a.last] = a.last, ackEntry{ack: ack, watch: watch}
	return a.last, true
}

// id returns the id of ack, if it is in use as a watch or a call.
func (a *acks) id(ack string, watch bool) (id uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id, ok = a.ids[ack]
	return id, ok && a.of[id].watch == watch
}

// answer returns the ack of id, which is answered: that of a call is free again, and
// so is that of a watch if it has failed.
func (a *acks) answer(id uint64, failed bool) (ack string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.of[id]
	switch {
	case !ok:
	case e.watch && !failed:
		e.answered = true
		a.of[id] = e
	default:
		a.removeLocked(id, e)
	}
	return e.ack, ok
}

// unwatch ends the watch id. Its ack is free as soon as it is answered.
func (a *acks) unwatch(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.of[id]
	if ok && e.answered {
		a.removeLocked(id, e)
	} else if ok {
		e.watch = false
		a.of[id] = e
	}
}

// remove frees the ack of id.
func (a *acks) remove(id uint64) (ack string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.of[id]
	if ok {
		a.removeLocked(id, e)
	}
	return e.ack, ok
}

func (a *acks) removeLocked(id uint64, e ackEntry) {
	delete(a.of, id)
	delete(a.ids, e.ack)
}

// ackOf is how the arbiter writes the id of a request of its own, and idOf reads it
// back. There is one form only.
func ackOf(id uint64) string { return strconv.FormatUint(id, 10) }

func idOf(ack string) (uint64, bool) {
	id, err := strconv.ParseUint(ack, 10, 64)
	return id, err == nil && id != 0 && id <= wire.MaxID && ackOf(id) == ack
}

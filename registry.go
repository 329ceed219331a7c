package arbiter

import (
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// registry knows who is where: the living incarnations by aid and by name. Both
// share one space of addresses, so that no name can pass for another's aid.
type registry struct {
	seed   maphash.Seed
	shards [64]shard                        // all but those in own
	own    *numbered                        // who has an aid of this arbiter's making
	recent [256]atomic.Pointer[incarnation] // who was found by aid of late; see known
}

type shard struct {
	mu sync.RWMutex
	at map[string]*incarnation
}

// newRegistry returns an empty registry of the arbiter whose aids end with tag.
func newRegistry(tag string) *registry {
	r := &registry{seed: maphash.MakeSeed(), own: newNumbered(tag)}
	for i := range r.shards {
		r.shards[i].at = make(map[string]*incarnation)
	}
	return r
}

func (r *registry) shard(address string) *shard {
	return &r.shards[maphash.String(r.seed, address)%uint64(len(r.shards))]
}

// known returns who has the aid, if that was asked for of late, or nil. It takes no lock
// and looks nothing up in a map. An aid is of one life: who was found by it has it until
// it says itself that it is gone.
func (r *registry) known(aid string) *incarnation {
	i := r.place(aid).Load()
	if i == nil || i.aid != aid || i.gone.Load() {
		return nil
	}
	return i
}

// note has known find i, who was found at address. A name may pass to somebody else, so
// only an aid is noted.
func (r *registry) note(address string, i *incarnation) {
	if address != i.aid || address == i.name {
		return
	}
	r.place(address).Store(i)
	if i.gone.Load() {
		r.unnote(i) // it ended after it was found: nothing is to hold it
	}
}

func (r *registry) unnote(i *incarnation) { r.place(i.aid).CompareAndSwap(i, nil) }

// place returns where aid is noted. Aids of this arbiter's making differ in the digits before
// the tag; what others have chosen for theirs is hashed.
func (r *registry) place(aid string) *atomic.Pointer[incarnation] {
	end := len(aid) - len(r.own.tag) - 1
	if end < 3 || aid[end+1:] != r.own.tag {
		return &r.recent[maphash.String(r.seed, aid)%uint64(len(r.recent))]
	}
	n := uint(aid[end-1]) + 10*uint(aid[end-2]) + 100*uint(aid[end-3])
	return &r.recent[n%uint(len(r.recent))]
}

// get returns who has the address, or nil.
func (r *registry) get(address string) *incarnation { return getAt(r, address, maphash.String) }

// getBytes is get for an address that is still in a read buffer. It does not
// allocate.
func (r *registry) getBytes(address []byte) *incarnation { return getAt(r, address, maphash.Bytes) }

func getAt[S string | []byte](r *registry, address S, hash func(maphash.Seed, S) uint64) *incarnation {
	if number, ok := numberOf(address, r.own.tag); ok {
		s, page, index := r.own.of(number)
		i, others := s.get(page, index)
		if i != nil && i.aid == string(address) {
			return i
		}
		if !others {
			return nil
		}
	}
	s := &r.shards[hash(r.seed, address)%uint64(len(r.shards))]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.at[string(address)]
}

// add takes i's aid and name. It returns whose one of them is, if it is taken.
func (r *registry) add(i *incarnation) (taken string, ok bool) {
	if !r.claim(i.aid, i) {
		return i.aid, false
	}
	if i.name != "" && i.name != i.aid && !r.claim(i.name, i) {
		i.gone.Store(true) // whoever has found it by its aid meanwhile
		r.release(i.aid, i)
		r.unnote(i)
		return i.name, false
	}
	return "", true
}

// succeed takes i out, and gives next, if there is one, its own aid and the name
// that was i's.
func (r *registry) succeed(i, next *incarnation) {
	i.gone.Store(true)
	r.release(i.aid, i)
	r.unnote(i)
	if next != nil {
		r.claim(next.aid, next)
	}
	if i.name != "" {
		r.handOver(i.name, i, next)
	}
}

// handOver gives an address of from's, if it is that, to to; nil: to nobody.
func (r *registry) handOver(address string, from, to *incarnation) { r.swap(address, from, to) }

func (r *registry) claim(address string, i *incarnation) bool { return r.swap(address, nil, i) }

func (r *registry) release(address string, i *incarnation) { r.swap(address, i, nil) }

// swap gives the address, if it is from's, to to; nil: nobody. It reports whether it was.
func (r *registry) swap(address string, from, to *incarnation) bool {
	if number, ok := numberOf(address, r.own.tag); ok {
		return r.own.swap(number, address, from, to, r.shard(address))
	}
	s := r.shard(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at[address] != from {
		return false
	}
	s.giveLocked(address, to)
	return true
}

// give gives the address to i; nil: to nobody.
func (s *shard) give(address string, i *incarnation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveLocked(address, i)
}

func (s *shard) giveLocked(address string, i *incarnation) {
	if i == nil {
		delete(s.at, address)
	} else {
		s.at[address] = i
	}
}

// all yields every incarnation once.
func (r *registry) all() iter.Seq[*incarnation] {
	return func(yield func(*incarnation) bool) {
		if !r.own.all(yield) {
			return
		}
		for n := range r.shards {
			s := &r.shards[n]
			s.mu.RLock()
			here := make([]*incarnation, 0, len(s.at))
			for address, i := range s.at {
				if address == i.aid {
					here = append(here, i)
				}
			}
			s.mu.RUnlock()
			for _, i := range here {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// maxNearest is how many addresses are compared for "did you mean": a suggestion
// is not worth more.
const maxNearest = 4096

// nearest returns the address that looks most like the one asked for, or "".
func (r *registry) nearest(address string) string {
	return wire.Nearest(address, func(yield func(string) bool) {
		n := 0
		for i := range r.all() {
			for _, a := range [...]string{i.name, i.aid} {
				if a != "" && !yield(a) {
					return
				}
			}
			if n++; n >= maxNearest {
				return
			}
		}
	})
}

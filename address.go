package arbiter

import (
	"errors"
	"strings"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/wire"
)

func checkNames(names ...string) *wire.Error {
	for _, name := range names {
		if name == "" {
			continue
		}
		if err := actor.ValidName(name); err != nil {
			return invalid("%v", err)
		}
	}
	return nil
}

// checkOwn refuses an aid, and a name, that the arbiter may give to somebody one day, or may have
// given: who had it would be taken for that one. A name that is made of somebody's aid, with
// something before it, can be neither, since no two have the same number.
func (a *Arbiter) checkOwn(name, aid string) *wire.Error {
	for _, asked := range [...]string{aid, name} {
		number, ok := numberOf(asked, a.tag)
		if !ok || asked != aid && number <= a.serial.Load() && a.namedAfter(asked) {
			continue
		}
		return invalid("%q cannot be asked for: it looks like an aid that the arbiter makes, and nobody it could be made of is known", asked)
	}
	return nil
}

// namedAfter reports whether name is the aid of somebody who lives, or is remembered, with
// something before it.
func (a *Arbiter) namedAfter(name string) bool {
	for {
		_, rest, found := strings.Cut(name, "-")
		if !found {
			return false
		}
		if a.registry.get(rest) != nil || a.dead.find(rest) != nil {
			return true
		}
		name = rest
	}
}

// enlist makes i findable, or lets go of it.
func (a *Arbiter) enlist(i *incarnation) *wire.Error {
	failed := a.admit(i)
	if failed != nil {
		i.stillbornUnseen(failed)
	}
	return failed
}

// admit makes i findable.
func (a *Arbiter) admit(i *incarnation) *wire.Error {
	taken, err := a.tryEnlist(i)
	if err == nil {
		return nil
	}
	if errors.Is(err, errTaken) {
		return wire.Errorf(wire.CodeExists, "%q belongs to a living actor", taken).NotStarted()
	}
	return wire.Errorf(wire.CodeClosed, "the arbiter is stopping").NotStarted()
}

// takenBy says of failed, if that is since one of the addresses is taken, what there is to do where nobody
// lives who has it.
func (a *Arbiter) takenBy(failed *wire.Error, addresses ...string) *wire.Error {
	if failed.Code != wire.CodeExists {
		return failed
	}
	for _, address := range addresses {
		s := a.slotNamed(address)
		if s == nil || s.row.pool != nil {
			continue
		}
		s.row.mu.Lock()
		empty, status := s.current == nil, map[string]string{"stopped": "was stopped", "failed": "was given up"}[s.status]
		s.row.mu.Unlock()
		if empty && status != "" {
			return wire.Errorf(wire.CodeExists, "%q belongs to a supervised actor that %s: start it again, or kill it, which frees the name", address, status).NotStarted()
		}
	}
	return failed
}

var (
	errTaken    = errors.New("the name is taken")
	errStopping = errors.New("the arbiter is stopping")
)

// tryEnlist holds the lock for both, so that whoever sees that the arbiter stops
// sees everybody who was before.
func (a *Arbiter) tryEnlist(i *incarnation) (taken string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping {
		return "", errStopping
	}
	for _, address := range [...]string{i.name, i.aid} {
		if address == "" || len(a.rows) == 0 {
			continue
		}
		if r := a.rows[address]; r != nil && (i.slot == nil || i.slot.row != r) && (i.pool == nil || r.pool != i.pool) {
			return address, errTaken // also while there is nobody in it
		}
	}
	taken, ok := a.registry.add(i)
	if !ok {
		return taken, errTaken
	}
	a.counts.began(i)
	return "", nil
}

// address is what a Ref of a command to the arbiter means.
func address(r actor.Ref) string {
	if r.AID != "" {
		return r.AID
	}
	return r.Name
}

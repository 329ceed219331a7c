package actor

import (
	"fmt"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Ref names an actor. It is a plain comparable value and may itself travel in
// messages.
//
// A Ref with an AID means one life of one actor; when that is over, calls fail. A
// Ref with only a Name means whoever has that name when the message arrives: make
// one with To. Two names are always there: "arbiter" is the arbiter itself, and
// "monitor" the pool the sender is a worker of, or the arbiter if it is in none.
type Ref struct {
	AID  string `cbor:"aid,omitempty" json:"aid,omitempty"`
	Name string `cbor:"name,omitempty" json:"name,omitempty"`
}

// Arbiter is the arbiter itself.
var Arbiter = Ref{Name: "arbiter"}

// To names an actor by its name or aid.
func To(name string) Ref { return Ref{Name: name} }

// ByName returns a Ref that means whoever has r's name, in this life or a later
// one; r itself if it has no name.
func (r Ref) ByName() Ref {
	if r.Name == "" {
		return r
	}
	return Ref{Name: r.Name}
}

// IsZero reports whether r names nobody.
func (r Ref) IsZero() bool { return r == Ref{} }

// String returns name(aid), or the one of the two that is known.
func (r Ref) String() string {
	switch {
	case r.AID == "":
		return r.Name
	case r.Name == "":
		return r.AID
	}
	return fmt.Sprintf("%s(%s)", r.Name, r.AID)
}

// address is what stands on the wire: the aid, or else the name.
func (r Ref) address() string {
	if r.AID != "" {
		return r.AID
	}
	return r.Name
}

// A Target is what the dynamic Call and Send take: an aid or a name, or a Ref.
type Target interface{ ~string | Ref }

// label is r as errors name it: by its name, if it has one.
func (r Ref) label() string {
	if r.Name != "" {
		return r.Name
	}
	return r.AID
}

func addressOf[T Target](t T) string {
	switch t := any(t).(type) {
	case Ref:
		return t.address()
	case string:
		return t
	}
	return fmt.Sprint(t) // a named string type
}

func labelOf[T Target](t T) string {
	if r, ok := any(t).(Ref); ok {
		return r.label()
	}
	return addressOf(t)
}

// ValidName reports whether name may name an actor: 1 to 64 of the characters
// A-Z a-z 0-9 _ . - are allowed, and "arbiter" and "monitor" are taken.
func ValidName(name string) error {
	if name == "arbiter" || name == "monitor" {
		return fmt.Errorf("the name %q is reserved", name)
	}
	return wire.ValidName(name)
}

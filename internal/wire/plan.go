package wire

import (
	"encoding"
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A plan is what is known of a type before any value of it is seen, so that
// values of flat and harmless types pay for none of the checks.
type plan struct {
	endless bool   // a pointer to itself: the library below would follow it for ever
	walk    bool   // a value may hold itself, or something without an image: walk it before encoding
	text    bool   // a value's image may hold what a reader refuses: check it after encoding
	dynamic bool   // it has interfaces: what they hold is known only with the value
	element uint64 // bytes of the largest thing that is allocated an element at a time

	marshals bool    // its values make their own image
	fields   []field // of a struct that does not …
	walked   []field // … and of these, those whose values have to be walked
	opaque   bool    // a struct of which nothing is exported
}

// plans remembers plans. They are a pure function of the type, and a program has
// only so many types, so this is a constant that is written down when first asked
// for (encoding/json keeps its own in the same way).
var plans sync.Map // of codec and type to *plan

type planKey struct {
	codec Codec
	typ   reflect.Type
}

func planOf(c Codec, t reflect.Type) *plan {
	if p, ok := plans.Load(planKey{c, t}); ok {
		return p.(*plan)
	}
	p := &plan{}
	p.add(c, t, map[reflect.Type]bool{})
	if p.marshals = marshals(c, t); !p.marshals && t.Kind() == reflect.Struct {
		p.fields = fieldsOf(c, t)
		p.opaque = len(p.fields) == 0 && t.NumField() > 0
		for _, f := range p.fields {
			if of := planOf(c, f.typ); of.walk || of.endless {
				p.walked = append(p.walked, f)
			}
		}
	}
	got, _ := plans.LoadOrStore(planKey{c, t}, p)
	return got.(*plan)
}

// add adds to p what t brings. seen holds the types met, true while they are
// being visited.
func (p *plan) add(c Codec, t reflect.Type, seen map[reflect.Type]bool) {
	if visiting, met := seen[t]; met {
		p.walk = p.walk || visiting // it can hold itself
		return
	}
	seen[t] = true
	defer func() { seen[t] = false }()

	if marshals(c, t) {
		p.text = p.text || !harmless(t)
		return
	}
	switch t.Kind() {
	case reflect.Interface:
		p.walk, p.text, p.dynamic = true, true, true
	case reflect.String:
		p.text = true
	case reflect.Float32, reflect.Float64:
		p.text = p.text || c == CodecJSON // NaN has no image there
	case reflect.Pointer:
		if endless(t) {
			p.endless = true
			return
		}
		p.each(c, t.Elem(), seen)
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice {
			p.each(c, t.Elem(), seen)
		} else {
			p.add(c, t.Elem(), seen)
		}
	case reflect.Map:
		p.each(c, t.Key(), seen)
		p.each(c, t.Elem(), seen)
	case reflect.Struct:
		fields := fieldsOf(c, t)
		if len(fields) == 0 && t.NumField() > 0 {
			p.walk = true // opaque: see the walk
		}
		for _, f := range fields {
			p.add(c, f.typ, seen)
		}
	}
}

// each adds t as the type of something that is allocated when met.
func (p *plan) each(c Codec, t reflect.Type, seen map[reflect.Type]bool) {
	p.element = max(p.element, uint64(t.Size()))
	p.add(c, t, seen)
}

// endless reports whether t is a pointer that leads only to pointers.
func endless(t reflect.Type) bool {
	slow := t
	for step := 1; t.Kind() == reflect.Pointer; step++ {
		t = t.Elem()
		if step%2 == 0 {
			slow = slow.Elem()
		}
		if t == slow {
			return true
		}
	}
	return false
}

var (
	typeTime          = reflect.TypeFor[time.Time]()
	typeBigInt        = reflect.TypeFor[big.Int]()
	typeBytes         = reflect.TypeFor[[]byte]()
	typeCBORMarshal   = reflect.TypeFor[cbor.Marshaler]()
	typeJSONMarshal   = reflect.TypeFor[json.Marshaler]()
	typeBinaryMarshal = reflect.TypeFor[encoding.BinaryMarshaler]()
	typeTextMarshal   = reflect.TypeFor[encoding.TextMarshaler]()
)

// marshals reports whether values of t make their own image.
func marshals(c Codec, t reflect.Type) bool {
	if harmless(t) {
		return true
	}
	if t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer {
		return false // what they hold is looked at
	}
	if c == CodecJSON {
		return implements(t, typeJSONMarshal) || implements(t, typeTextMarshal)
	}
	// Tag and RawTag are the library's own and have no method for it.
	return t == reflect.TypeFor[cbor.Tag]() || t == reflect.TypeFor[cbor.RawTag]() ||
		implements(t, typeCBORMarshal) || implements(t, typeBinaryMarshal) || implements(t, typeTextMarshal)
}

func implements(t, iface reflect.Type) bool {
	return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
}

// harmless reports whether the image of every value of t is sound.
func harmless(t reflect.Type) bool { return t == typeTime || t == typeBigInt || t == typeBytes }

// A field is one field of a struct as it stands on the wire.
type field struct {
	name  string // on the wire; a number in decimal with keyasint
	typ   reflect.Type
	index []int
	path  string // in Go: "Tiles", or "Base.Tiles" if it is embedded under a name
}

// fieldsOf returns the fields of struct t that cross the wire. Fields of embedded
// structs come after, so that the first of a name is the outer one.
func fieldsOf(c Codec, t reflect.Type) []field {
	var own, embedded []field
	type level struct {
		typ   reflect.Type
		index []int
	}
	next, met := []level{{typ: t}}, map[reflect.Type]bool{t: true}
	for len(next) > 0 {
		now := next
		next = nil
		for _, l := range now {
			for i := range l.typ.NumField() {
				f := l.typ.Field(i)
				inner := f.Type
				if inner.Kind() == reflect.Pointer {
					inner = inner.Elem()
				}
				if !f.IsExported() && (!f.Anonymous || inner.Kind() != reflect.Struct) {
					continue
				}
				tag := f.Tag.Get("json")
				if c != CodecJSON {
					if own := f.Tag.Get("cbor"); own != "" {
						tag = own
					}
				}
				if tag == "-" || f.Name == "_" {
					continue
				}
				name, _, _ := strings.Cut(tag, ",")
				index := append(append([]int(nil), l.index...), i)
				if f.Anonymous && inner.Kind() == reflect.Struct && name == "" {
					if !met[inner] {
						met[inner] = true
						next = append(next, level{inner, index})
					}
					continue
				}
				if name == "" {
					name = f.Name
				}
				got := field{name: name, typ: f.Type, index: index, path: f.Name}
				if len(index) == 1 {
					own = append(own, got)
				} else {
					embedded = append(embedded, got)
				}
			}
		}
	}
	return append(own, embedded...)
}

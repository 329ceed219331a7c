package pickle

// level is one container that measure is in.
type level struct {
	v     Value
	depth *int32
	at    int   // the next child
	below int32 // the deepest child so far
}

// The depth of a container while measure has not been there, and while it is in it.
const (
	unmeasured = 0
	open       = -1
)

// measure reports whether containers stand at most limit deep in one another in v,
// which nobody has measured yet. It goes into each container once: what is shared
// counts wherever it stands, but is not walked again, and what holds itself is not
// followed.
func measure(v Value, limit int) bool {
	at := depthOf(v)
	if at == nil {
		return true
	}
	var room [16]level
	levels := append(room[:0], level{v: v, depth: at})
	*at = open
	for {
		top := &levels[len(levels)-1]
		child, more := childAt(top.v, top.at)
		if more {
			top.at++
			switch depth := depthOf(child); {
			case depth == nil || *depth == open:
			case *depth == unmeasured:
				if len(levels) >= limit {
					return false
				}
				*depth = open
				levels = append(levels, level{v: child, depth: depth})
			default:
				top.below = max(top.below, *depth)
			}
			continue
		}
		depth := top.below + 1
		if len(levels)-1+int(depth) > limit {
			return false
		}
		*top.depth = depth
		levels = levels[:len(levels)-1]
		if len(levels) == 0 {
			return true
		}
		up := &levels[len(levels)-1]
		up.below = max(up.below, depth)
	}
}

// depthOf returns where the depth of a container is kept, or nil for what is none.
func depthOf(v Value) *int32 {
	switch v := v.(type) {
	case *List:
		return &v.depth
	case *Tuple:
		return &v.depth
	case *Dict:
		return &v.depth
	case *Set:
		return &v.depth
	case *Deque:
		return &v.depth
	case *Ref:
		return &v.depth
	case *Object:
		return &v.depth
	}
	return nil
}

// childAt returns the value at place i of a container. There is none where more is
// false; what it returns may be nil.
func childAt(v Value, i int) (child Value, more bool) {
	switch v := v.(type) {
	case *List:
		return item(v.Items, i)
	case *Tuple:
		return item(v.Items, i)
	case *Set:
		return item(v.Items, i)
	case *Deque:
		return item(v.Items, i)
	case *Dict:
		if i < 2*len(v.Pairs) {
			return half(v.Pairs, i), true
		}
		return v.State, i == 2*len(v.Pairs)
	case *Ref:
		if i == 0 {
			return v.Config, true
		}
		return v.Address, i == 1
	case *Object:
		switch i {
		case 0:
			return v.Class, true
		case 1:
			return v.Args, true
		case 2:
			return v.State, true
		}
		if i -= 3; i < len(v.Items) {
			return v.Items[i], true
		}
		if i -= len(v.Items); i < 2*len(v.Pairs) {
			return half(v.Pairs, i), true
		}
	}
	return nil, false
}

func item(items []Value, i int) (Value, bool) {
	if i < len(items) {
		return items[i], true
	}
	return nil, false
}

func half(pairs []Pair, i int) Value {
	if i%2 == 0 {
		return pairs[i/2].Key
	}
	return pairs[i/2].Value
}

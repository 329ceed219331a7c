package pickle

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// show writes v much as Python's repr does; what holds itself ends in "...".
func show(v Value) string {
	var b strings.Builder
	shower{&b, map[Value]bool{}}.value(v)
	return b.String()
}

type shower struct {
	*strings.Builder
	inside map[Value]bool
}

func (s shower) list(open string, items []Value, end string) {
	s.WriteString(open)
	for i, item := range items {
		if i > 0 {
			s.WriteString(", ")
		}
		s.value(item)
	}
	s.WriteString(end)
}

func (s shower) pairs(open string, pairs []Pair, end string) {
	s.WriteString(open)
	for i, p := range pairs {
		if i > 0 {
			s.WriteString(", ")
		}
		s.value(p.Key)
		s.WriteString(": ")
		s.value(p.Value)
	}
	s.WriteString(end)
}

func (s shower) value(v Value) {
	if depthOf(v) != nil {
		if s.inside[v] {
			s.WriteString("...")
			return
		}
		s.inside[v] = true
		defer delete(s.inside, v)
	}
	switch v := v.(type) {
	case None:
		s.WriteString("None")
	case Bool:
		s.WriteString(map[Bool]string{true: "True", false: "False"}[v])
	case Int:
		fmt.Fprint(s, int64(v))
	case Big:
		fmt.Fprint(s, v.Int)
	case Float:
		f := float64(v)
		switch {
		case math.IsNaN(f):
			s.WriteString("nan")
		case math.IsInf(f, 0):
			s.WriteString(strings.TrimPrefix(strings.ToLower(fmt.Sprint(f)), "+"))
		default:
			text := strconv.FormatFloat(f, 'g', -1, 64)
			if !strings.ContainsAny(text, ".e") {
				text += ".0"
			}
			s.WriteString(text)
		}
	case Str:
		fmt.Fprintf(s, "%+q", string(v))
	case Bytes:
		fmt.Fprintf(s, "b%q", string(v))
	case *List:
		s.list("[", v.Items, "]")
	case *Tuple:
		if len(v.Items) == 1 {
			s.list("(", v.Items, ",)")
		} else {
			s.list("(", v.Items, ")")
		}
	case *Dict:
		if v.Ordered {
			s.WriteString("OrderedDict")
		}
		s.pairs("{", v.Pairs, "}")
		if v.State != nil {
			s.WriteString("!")
			s.value(v.State)
		}
	case *Set:
		if v.Frozen {
			s.WriteString("frozen")
		}
		s.list("set{", v.Items, "}")
	case *Deque:
		fmt.Fprintf(s, "deque(%v %d)", v.Bounded, v.MaxLen)
		s.list("[", v.Items, "]")
	case *ByteArray:
		fmt.Fprintf(s, "bytearray(%q)", v.Data)
	case *Complex:
		fmt.Fprint(s, "complex", complex(v.Real, v.Imag))
	case *Date:
		fmt.Fprintf(s, "%04d-%02d-%02d", v.Year, v.Month, v.Day)
	case *Time:
		fmt.Fprintf(s, "%02d:%02d:%02d.%06d", v.Hour, v.Minute, v.Second, v.Microsecond)
		if v.Zone != nil {
			s.value(v.Zone)
		}
	case *DateTime:
		s.value(&v.Date)
		s.WriteString("T")
		s.value(&v.Time)
	case *Delta:
		fmt.Fprintf(s, "delta(%d %d %d)", v.Days, v.Seconds, v.Microseconds)
	case *Zone:
		s.WriteString("zone ")
		s.value(&v.Offset)
		if v.Named {
			fmt.Fprintf(s, "%q", v.Name)
		}
	case *Decimal:
		fmt.Fprintf(s, "Decimal(%s)", v.Text)
	case *UUID:
		fmt.Fprintf(s, "UUID(%x)", v[:])
	case *Ref:
		fmt.Fprintf(s, "Ref(%q %q ", v.AID, v.Name)
		s.value(v.Config)
		if v.Address != nil {
			s.WriteString(" ")
			s.value(v.Address)
		}
		s.WriteString(")")
	case *Global:
		s.WriteString(v.Module + "." + v.Name)
	case *Object:
		if v.New {
			s.WriteString("new ")
		}
		s.value(v.Class)
		s.list("(", v.Args.Items, ")")
		if len(v.Items) > 0 {
			s.list("[", v.Items, "]")
		}
		if len(v.Pairs) > 0 {
			s.pairs("{", v.Pairs, "}")
		}
		if v.State != nil {
			s.WriteString("!")
			s.value(v.State)
		}
	default:
		fmt.Fprintf(s, "%T", v)
	}
}

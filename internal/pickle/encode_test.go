package pickle

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
)

func bigOf(text string) Big {
	n, ok := new(big.Int).SetString(text, 0)
	if !ok {
		panic(text)
	}
	return Big{n}
}

// written are values made by hand, and what CPython says they are.
var written = []struct {
	value Value
	repr  string
}{
	{None{}, "None"},
	{Bool(true), "True"},
	{Bool(false), "False"},
	{Int(0), "0"},
	{Int(255), "255"},
	{Int(256), "256"},
	{Int(65535), "65535"},
	{Int(65536), "65536"},
	{Int(math.MaxInt32), "2147483647"},
	{Int(math.MaxInt32 + 1), "2147483648"},
	{Int(math.MinInt32), "-2147483648"},
	{Int(math.MinInt32 - 1), "-2147483649"},
	{Int(-1), "-1"},
	{Int(1<<39 - 1), "549755813887"},
	{Int(1 << 39), "549755813888"},
	{Int(-1 << 39), "-549755813888"},
	{Int(math.MaxInt64), "9223372036854775807"},
	{Int(math.MinInt64), "-9223372036854775808"},
	{bigOf("9223372036854775808"), "9223372036854775808"},
	{bigOf("-9223372036854775809"), "-9223372036854775809"},
	{bigOf("18446744073709551616"), "18446744073709551616"},
	{bigOf("-170141183460469231731687303715884105728"), "-170141183460469231731687303715884105728"},
	{bigOf("-170141183460469231731687303715884105729"), "-170141183460469231731687303715884105729"},
	{bigOf("5"), "5"},
	{bigOf("0x1" + strings.Repeat("0", 510)), power(4 * 510)},
	{bigOf("-0x1" + strings.Repeat("0", 512)), "-" + power(4*512)},
	{Float(1.5), "1.5"},
	{Float(math.Copysign(0, -1)), "-0.0"},
	{Float(math.Inf(-1)), "-inf"},
	{Float(math.NaN()), "nan"},
	{Str(""), "''"},
	{Str("Zoë"), `'Zo\xeb'`},
	{Str("a\xed\xa0\x80"), `'a\ud800'`},
	{Bytes(""), "b''"},
	{Bytes("\x00a\xff"), `b'\x00a\xff'`},
	{&ByteArray{}, "bytearray(b'')"},
	{&ByteArray{Data: []byte("\xff")}, `bytearray(b'\xff')`},
	{&List{}, "[]"},
	{&List{Items: []Value{Int(1), None{}}}, "[1, None]"},
	{&Tuple{}, "()"},
	{&Tuple{Items: []Value{Int(1)}}, "(1,)"},
	{&Tuple{Items: []Value{Int(1), Int(2), Int(3)}}, "(1, 2, 3)"},
	{&Tuple{Items: []Value{Int(1), Int(2), Int(3), Int(4)}}, "(1, 2, 3, 4)"},
	{&Dict{}, "{}"},
	{&Dict{Pairs: []Pair{{Str("a"), Int(1)}}}, "{'a': 1}"},
	{&Dict{Pairs: []Pair{{Str("a"), Int(1)}, {Int(2), &List{}}}}, "{'a': 1, 2: []}"},
	{&Dict{Ordered: true, Pairs: []Pair{{Str("a"), Int(1)}}}, "OrderedDict([('a', 1)])"},
	{&Set{}, "set()"},
	{&Set{Items: []Value{Int(1)}}, "{1}"},
	{&Set{Frozen: true, Items: []Value{&Set{Frozen: true}}}, "frozenset({frozenset()})"},
	{&Deque{Items: []Value{Int(1), Int(2)}}, "deque([1, 2])"},
	{&Deque{Items: []Value{Int(1), Int(2)}, Bounded: true, MaxLen: 1}, "deque([2], maxlen=1)"},
	{&Complex{1, -2}, "(1-2j)"},
	{&Date{2024, 2, 29}, "datetime.date(2024, 2, 29)"},
	{&Time{23, 59, 59, 999999, nil}, "datetime.time(23, 59, 59, 999999)"},
	{&Time{1, 2, 3, 0, &Zone{}}, "datetime.time(1, 2, 3, tzinfo=datetime.timezone.utc)"},
	{&DateTime{Date{1, 1, 1}, Time{0, 0, 1, 0, &Zone{Offset: Delta{-1, 3600, 0}, Named: true, Name: "W"}}},
		"datetime.datetime(1, 1, 1, 0, 0, 1, tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds=3600), 'W'))"},
	{&DateTime{Date{9999, 12, 31}, Time{23, 59, 59, 256, nil}}, "datetime.datetime(9999, 12, 31, 23, 59, 59, 256)"},
	{&Delta{-1, 86399, 1}, "datetime.timedelta(days=-1, seconds=86399, microseconds=1)"},
	{&Zone{Offset: Delta{0, 5400, 0}}, "datetime.timezone(datetime.timedelta(seconds=5400))"},
	{&Decimal{"-1.50E+7"}, "Decimal('-1.50E+7')"},
	{&Decimal{"sNaN12"}, "Decimal('sNaN12')"},
	{&UUID{0: 0xff, 15: 1}, "UUID('ff000000-0000-0000-0000-000000000001')"},
	{&UUID{15: 1}, "UUID('00000000-0000-0000-0000-000000000001')"},
	{&Ref{AID: "a1", Name: "web", Config: None{}, Address: None{}},
		"<copy_reg _reconstructor [a pulsar.async.proxy ActorProxy, a __builtin__ object, None] call [] [] [{'aid': 'a1', 'name': 'web', 'cfg': None, 'address': None}]>"},
	{&Global{Module: "m", Name: "C"}, "a m C"},
	{&Global{Module: "__builtin__", Name: "object"}, "a __builtin__ object"},
	{&Object{Class: &Global{Module: "m", Name: "C"}, Args: &Tuple{}}, "<m C [] call [] [] []>"},
	{&Object{Class: &Global{Module: "m", Name: "C"}, Args: &Tuple{Items: []Value{Int(1)}}, New: true,
		Items: []Value{Int(2)}, Pairs: []Pair{{Int(3), Int(4)}}, State: Int(5)}, "<m C [1] new [2] [[3, 4]] [5]>"},
}

func TestCPythonReadsWritten(t *testing.T) {
	var in []byte
	for _, c := range written {
		p, err := Append(nil, c.value, Limits{})
		if err != nil {
			t.Fatalf("%s: %v", c.repr, err)
		}
		in = record(in, p)
	}
	lines := strings.Split(strings.TrimSpace(string(python(t, in, "repr"))), "\n")
	if len(lines) != len(written) {
		t.Fatalf("CPython read %d values, not %d", len(lines), len(written))
	}
	for i, c := range written {
		if got := lines[i]; got != c.repr {
			t.Errorf("CPython reads %s, want %s", got, c.repr)
		}
	}
}

// What was written by hand is read as the same value.
func TestAppend(t *testing.T) {
	for _, c := range written {
		p, err := Append(nil, c.value, Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.repr, err)
			continue
		}
		if got, want := show(decoded(t, p)), show(c.value); got != want {
			t.Errorf("%s: %s became %s", c.repr, want, got)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	class := &Global{Module: "m", Name: "C"}
	for _, c := range []struct {
		name   string
		value  Value
		limits Limits
		reason string
		large  bool
	}{
		{"nil", nil, Limits{}, "nil Value", false},
		{"nil in a list", &List{Items: []Value{nil}}, Limits{}, "nil Value", false},
		{"nil pointer", (*List)(nil), Limits{}, "nil Value", false},
		{"nil Big", Big{}, Limits{}, "without a number", false},
		{"text that is none", Str("\xff"), Limits{}, `text "\xff" is not UTF-8`, false},
		{"a list as a key", &Dict{Pairs: []Pair{{&List{}, None{}}}}, Limits{}, "a list is the key of a dict", false},
		{"a list in a set", &Set{Items: []Value{&List{}}}, Limits{}, "a list is in a set", false},
		{"a state of a plain dict", &Dict{State: None{}}, Limits{}, "not Ordered", false},
		{"a date that never was", &Date{2023, 2, 29}, Limits{}, "no date 2023-02-29", false},
		{"a time that never is", &Time{Hour: 24}, Limits{}, "no time 24:00:00", false},
		{"a datetime of year 0", &DateTime{Date: Date{0, 1, 1}}, Limits{}, "no time 0000-01-01", false},
		{"a timedelta out of form", &Delta{Seconds: -1}, Limits{}, "no timedelta of 0 days, -1 seconds", false},
		{"a timezone of two days", &Zone{Offset: Delta{Days: 2}}, Limits{}, "no timezone 2 days", false},
		{"a Decimal of words", &Decimal{"one"}, Limits{}, `"one" is not a number`, false},
		{"a Decimal of nothing", &Decimal{}, Limits{}, `"" is not a number`, false},
		{"a deque with an odd bound", &Deque{Bounded: true, MaxLen: -1}, Limits{}, "no deque of at most -1", false},
		{"a Ref without a configuration", &Ref{AID: "a"}, Limits{}, "nil Value", false},
		{"a Ref whose aid is no text", &Ref{AID: "\xff", Config: None{}}, Limits{}, "not UTF-8", false},
		{"a global of no module", &Global{Name: "C"}, Limits{}, `"" is not a name`, false},
		{"a global of two lines", &Global{Module: "m", Name: "C\nD"}, Limits{}, `"C\nD" is not a name`, false},
		{"a global beyond ASCII", &Global{Module: "m", Name: "é"}, Limits{}, "is not a name", false},
		{"an object of a list", &Object{Class: &List{}, Args: &Tuple{}}, Limits{}, "class of an object is a list", false},
		{"an object without arguments", &Object{Class: class}, Limits{}, "Args is nil", false},
		{"a message just small enough", Str("abc"), Limits{Message: 13}, "", false},
		{"a message too long", Str("abc"), Limits{Message: 12}, "longer than 12 bytes", true},
		{"a message too long at once", Str("abc"), Limits{Message: 5}, "longer than 5 bytes", true},
		{"a message too long in its head", None{}, Limits{Message: 1}, "longer than 1 bytes", true},
		{"just shallow enough", nest(1000), Limits{}, "", false},
		{"too deep", nest(1001), Limits{}, "more than 1000 deep", true},
		{"an int just short enough", bigOf("0x7f" + strings.Repeat("00", 4095)), Limits{}, "", false},
		{"an int too long", bigOf("0x80" + strings.Repeat("00", 4095)), Limits{}, "an int of 4097 bytes, more than 4096", true},
		{"a negative int just short enough", bigOf("-0x80" + strings.Repeat("00", 4095)), Limits{}, "", false},
	} {
		out, err := Append([]byte("before"), c.value, c.limits)
		var e *Error
		switch {
		case c.reason == "":
			if err != nil || len(out) < 9 {
				t.Errorf("%s: %q, %v", c.name, out, err)
			}
		case !errors.As(err, &e) || !strings.Contains(e.Reason, c.reason) || e.TooLarge != c.large || e.Offset != -1:
			t.Errorf("%s: %v, want %q", c.name, err, c.reason)
		case string(out) != "before":
			t.Errorf("%s: %q was appended to", c.name, out)
		}
	}
}

func nest(n int) Value {
	l := &List{}
	for range n - 1 {
		l = &List{Items: []Value{l}}
	}
	return l
}

// What is one value is written once, and what only looks alike twice.
func TestAppendShares(t *testing.T) {
	name, zone := Str("a name"), &Zone{}
	date := Date{2024, 1, 1}
	at := &DateTime{Date: date, Time: Time{Zone: zone}}
	list := &List{}
	v := decoded(t, appended(t, &List{Items: []Value{
		name, name, list, list, &List{}, at, &at.Date, at, &DateTime{Date: date, Time: Time{Zone: zone}},
		Bytes(name), Bytes(name),
	}})).(*List).Items
	same := func(i, j int) bool {
		a, _ := keyOf(v[i])
		b, _ := keyOf(v[j])
		return a == b
	}
	if !same(0, 1) || !same(2, 3) || same(2, 4) || !same(5, 7) || same(5, 8) || !same(9, 10) {
		t.Errorf("%s", show(&List{Items: v}))
	}
	if v[5].(*DateTime).Time.Zone != v[8].(*DateTime).Time.Zone {
		t.Error("a zone that two times share became two")
	}
	if d, ok := v[6].(*Date); !ok || *d != date { // it stands where the datetime does
		t.Errorf("a date became %s", show(v[6]))
	}
	if v[9] != Value(Bytes(name)) {
		t.Errorf("the bytes of a text became %s", show(v[9]))
	}
}

func appended(t testing.TB, v Value) []byte {
	t.Helper()
	p, err := Append(nil, v, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Lists and dicts are written in CPython's batches.
func TestBatches(t *testing.T) {
	for _, n := range []int{0, 1, 2, 999, 1000, 1001, 1002, 2000, 2001, 3000} {
		list, dict, deque, ordered := &List{}, &Dict{}, &Deque{}, &Dict{Ordered: true}
		for i := range n {
			list.Items = append(list.Items, Int(i))
			deque.Items = append(deque.Items, Int(i))
			dict.Pairs = append(dict.Pairs, Pair{Int(i), None{}})
			ordered.Pairs = append(ordered.Pairs, Pair{Int(i), None{}})
		}
		for _, v := range []Value{list, dict, deque, ordered} {
			p := appended(t, v)
			if got := decoded(t, p); show(got) != show(v) {
				t.Errorf("%s of %d became another", kind(v), n)
			}
			_, exact := v.(*List)
			if d, ok := v.(*Dict); ok {
				exact = !d.Ordered
			}
			batches, single := (n+batchSize-1)/batchSize, 0
			if n == 1 || n%batchSize == 1 && !exact {
				batches, single = batches-1, 1
			}
			count := map[byte]int{}
			for at := 2; at < len(p); {
				op := p[at]
				count[op]++
				switch op {
				case opGlobal:
					at += strings.IndexByte(string(p[at:]), '\n') + 1
					at += strings.IndexByte(string(p[at:]), '\n') + 1
				case opBinInt1, opBinPut:
					at += 2
				case opBinInt2:
					at += 3
				default:
					at++
				}
			}
			if count[opMark] != batches || count[opAppends]+count[opSetItems] != batches || count[opAppend]+count[opSetItem] != single {
				t.Errorf("%s of %d: %v, want %d batches and %d alone", kind(v), n, count, batches, single)
			}
		}
	}
}

// A typical message costs few allocations.
func TestAllocs(t *testing.T) {
	p := named(t, "_ping_by_aid_down_ping")
	v := decoded(t, p)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Decode(p, Limits{}); err != nil {
			t.Fatal(err)
		}
	}); n > 20 {
		t.Errorf("reading a ping takes %v allocations", n)
	}
	buf := make([]byte, 0, 2*len(p))
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Append(buf, v, Limits{}); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("writing a ping takes %v allocations", n)
	}
}

package pickle

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
)

// whole returns the pickle with this body.
func whole(body string) []byte { return []byte("\x80\x02" + body + ".") }

// accepted are bodies for each opcode that is read, and what they are.
var accepted = []struct{ name, body, want string }{
	{"NONE", "N", "None"},
	{"NEWTRUE", "\x88", "True"},
	{"NEWFALSE", "\x89", "False"},
	{"BININT1", "K\xff", "255"},
	{"BININT2", "M\x00\xff", "65280"},
	{"BININT", "J\xff\xff\xff\x7f", "2147483647"},
	{"BININT negative", "J\x00\x00\x00\x80", "-2147483648"},
	{"LONG1 of no bytes", "\x8a\x00", "0"},
	{"LONG1 of one", "\x8a\x01\xff", "-1"},
	{"LONG1 of 8", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "9223372036854775807"},
	{"LONG1 of 9", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00", "9223372036854775808"},
	{"LONG1 negative", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x80", "-" + power(71)},
	{"LONG1 not in the shortest form", "\x8a\x0a\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00", "5"},
	{"LONG1 of 255", "\x8a\xff" + strings.Repeat("\x00", 254) + "\x80", "-" + power(255*8-1)},
	{"LONG4", "\x8b\x01\x00\x00\x00\x80", "-128"},
	{"BINFLOAT", "G?\xf8\x00\x00\x00\x00\x00\x00", "1.5"},
	{"BINFLOAT nan", "G\x7f\xf8\x00\x00\x00\x00\x00\x01", "nan"},
	{"BINUNICODE", "X\x02\x00\x00\x00\xc3\xa9", `"\u00e9"`},
	{"BINUNICODE empty", "X\x00\x00\x00\x00", `""`},
	{"BINUNICODE lone surrogate", "X\x05\x00\x00\x00a\xed\xa0\x80b", `"a\xed\xa0\x80b"`},
	{"BINUNICODE two surrogates", "X\x06\x00\x00\x00\xed\xa0\xbd\xed\xb8\x80", `"\xed\xa0\xbd\xed\xb8\x80"`},
	{"BINUNICODE Hangul", "X\x03\x00\x00\x00\xed\x9f\xbb", `"\ud7fb"`},
	{"SHORT_BINSTRING", "U\x02hi", `"hi"`},
	{"BINSTRING", "T\x02\x00\x00\x00hi", `"hi"`},
	{"EMPTY_TUPLE", ")", "()"},
	{"TUPLE1", "N\x85", "(None,)"},
	{"TUPLE2", "NK\x01\x86", "(None, 1)"},
	{"TUPLE3", "NK\x01K\x02\x87", "(None, 1, 2)"},
	{"TUPLE", "(K\x01K\x02K\x03K\x04t", "(1, 2, 3, 4)"},
	{"TUPLE of none", "(t", "()"},
	{"EMPTY_LIST", "]", "[]"},
	{"APPEND", "]K\x01a", "[1]"},
	{"APPENDS", "](K\x01K\x02eK\x03a", "[1, 2, 3]"},
	{"APPENDS of none", "](e", "[]"},
	{"EMPTY_DICT", "}", "{}"},
	{"SETITEM", "}K\x01Ns", "{1: None}"},
	{"SETITEMS", "}(K\x01NK\x02\x88u", "{1: None, 2: True}"},
	{"a key that repeats", "}(K\x01NK\x02NK\x01\x88u", "{1: None, 2: None, 1: True}"},
	{"BINPUT, BINGET", "](]q\x00h\x00e", "[[], []]"},
	{"LONG_BINPUT, LONG_BINGET", "](]r\x00\x00\x00\x00j\x00\x00\x00\x00e", "[[], []]"},
	{"a list in itself", "]q\x00h\x00a", "[...]"},
	{"a dict in itself", "}q\x00K\x01h\x00s", "{1: ...}"},
	{"POP: a tuple in itself", "]q\x00h\x00\x85q\x01a0h\x01", "([...],)"},
	{"POP_MARK: a longer one", "(K\x01K\x02K\x03]q\x00(K\x01K\x02K\x03h\x00tq\x01a1h\x01", "(1, 2, 3, [...])"},
	{"POP: an object in its arguments", "cm\nC\nq\x00]q\x01h\x00h\x01\x85q\x02Rq\x03a\x85q\x04R0h\x03", "m.C([...])"},
	{"GLOBAL", "cos\nsystem\n", "os.system"},
	{"REDUCE", "cos\nsystem\nX\x02\x00\x00\x00ls\x85R", `os.system("ls")`},
	{"NEWOBJ", "cm\nC\nK\x01\x85\x81", "new m.C(1)"},
	{"BUILD", "cm\nC\n)\x81}X\x01\x00\x00\x00aK\x01sb", `new m.C()!{"a": 1}`},
	{"BUILD repeated for what holds itself", "cm\nC\n)\x81q\x00}q\x01bh\x01b", "new m.C()!{}"},
	{"items, pairs and state", "cm\nC\n)\x81(K\x01K\x02e(K\x03K\x04uNb", "new m.C()[1, 2]{3: 4}!None"},
	{"what another call returned is called", "c__builtin__\ngetattr\ncm\nC\nX\x01\x00\x00\x00D\x86R)\x81", `new __builtin__.getattr(m.C, "D")()`},

	{"bytes", "c_codecs\nencode\nX\x03\x00\x00\x00a\xc3\xbfX\x06\x00\x00\x00latin1\x86R", `b"a\xff"`},
	{"bytes, empty", "c__builtin__\nbytes\n)R", `b""`},
	{"bytes of what is not latin-1", "c_codecs\nencode\nX\x02\x00\x00\x00\xc4\x80X\x06\x00\x00\x00latin1\x86R", `_codecs.encode("\u0100", "latin1")`},
	{"bytes by another codec", "c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R", `_codecs.encode("a", "rot13")`},
	{"bytes of an int", "c__builtin__\nbytes\nK\x05\x85R", "__builtin__.bytes(5)"},
	{"a bytearray", "c__builtin__\nbytearray\nX\x02\x00\x00\x00\xc3\xbfX\x07\x00\x00\x00latin-1\x86R", `bytearray("\xff")`},
	{"a bytearray, empty", "c__builtin__\nbytearray\n)R", `bytearray("")`},
	{"a bytearray of an int", "c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R", "__builtin__.bytearray(2147483647)"},
	{"a set", "c__builtin__\nset\n](K\x01K\x02e\x85R", "set{1, 2}"},
	{"a frozenset", "c__builtin__\nfrozenset\n]\x85R", "frozenset{}"},
	{"a set of lists", "c__builtin__\nset\n]]a\x85R", "__builtin__.set([[]])"},
	{"a set of a tuple", "c__builtin__\nset\n(K\x01t\x85R", "__builtin__.set((1,))"},
	{"a set whose list grows", "](c__builtin__\nset\n]q\x00K\x01a\x85Rh\x00K\x02ae", "[set{1}, [1, 2]]"},
	{"complex", "c__builtin__\ncomplex\nG?\xf8\x00\x00\x00\x00\x00\x00G?\xf8\x00\x00\x00\x00\x00\x00\x86R", "complex(1.5+1.5i)"},
	{"complex of ints", "c__builtin__\ncomplex\nK\x01K\x02\x86R", "__builtin__.complex(1, 2)"},
	{"a date", "cdatetime\ndate\n" + data("\x07\xe8\x02\x1d") + "\x85R", "2024-02-29"},
	{"a date that never was", "cdatetime\ndate\n" + data("\x07\xe7\x02\x1d") + "\x85R", `datetime.date(b"\a\xe7\x02\x1d")`},
	{"a date of 1900, no leap year", "cdatetime\ndate\n" + data("\x07\x6c\x02\x1d") + "\x85R", `datetime.date(b"\al\x02\x1d")`},
	{"a date of year 0", "cdatetime\ndate\n" + data("\x00\x00\x01\x01") + "\x85R", `datetime.date(b"\x00\x00\x01\x01")`},
	{"a time", "cdatetime\ntime\n" + data("\x17\x3b\x3b\x0f\x42\x3f") + "\x85R", "23:59:59.999999"},
	{"a time with fold, which is not of protocol 2", "cdatetime\ntime\n" + data("\x97\x00\x00\x00\x00\x00") + "\x85R", `datetime.time(b"\x97\x00\x00\x00\x00\x00")`},
	{"a datetime", "cdatetime\ndatetime\n" + data("\x07\xe8\x02\x1d\x01\x02\x03\x00\x00\x04") + "\x85R", "2024-02-29T01:02:03.000004"},
	{"a datetime with a zone", "cdatetime\ndatetime\n" + data("\x07\xe8\x02\x1d\x01\x02\x03\x00\x00\x04") +
		"cdatetime\ntimezone\ncdatetime\ntimedelta\nJ\xff\xff\xff\xffM\x30\x2aK\x00\x87RX\x01\x00\x00\x00Z\x86R\x86R",
		`2024-02-29T01:02:03.000004zone delta(-1 10800 0)"Z"`},
	{"a datetime with a zone of its own kind", "cdatetime\ndatetime\n" + data("\x07\xe8\x02\x1d\x01\x02\x03\x00\x00\x04") + "cpytz\n_UTC\n)R\x86R",
		`datetime.datetime(b"\a\xe8\x02\x1d\x01\x02\x03\x00\x00\x04", pytz._UTC())`},
	{"a zone of a day", "cdatetime\ntimezone\ncdatetime\ntimedelta\nK\x01K\x00K\x00\x87R\x85R", "datetime.timezone(delta(1 0 0))"},
	{"a zone of minus a day", "cdatetime\ntimezone\ncdatetime\ntimedelta\nJ\xff\xff\xff\xffK\x00K\x00\x87R\x85R", "datetime.timezone(delta(-1 0 0))"},
	{"a timedelta", "cdatetime\ntimedelta\nJ\x01\x36\x65\xc4K\x02K\x03\x87R", "delta(-999999999 2 3)"},
	{"a timedelta not in normal form", "cdatetime\ntimedelta\nK\x01J\x80\x51\x01\x00K\x03\x87R", "datetime.timedelta(1, 86400, 3)"},
	{"a timedelta far off", "cdatetime\ntimedelta\n\x8a\x05\x00\x00\x00\x00\x01K\x00K\x00\x87R", "datetime.timedelta(4294967296, 0, 0)"},
	{"a Decimal", "cdecimal\nDecimal\nX\x04\x00\x00\x001.10\x85R", "Decimal(1.10)"},
	{"a Decimal of words", "cdecimal\nDecimal\nX\x03\x00\x00\x00one\x85R", `decimal.Decimal("one")`},
	{"a UUID", "cuuid\nUUID\n)\x81q\x00}X\x03\x00\x00\x00intK\x05sb", "UUID(00000000000000000000000000000005)"},
	{"a UUID asked for again", "](cuuid\nUUID\n)\x81q\x00}X\x03\x00\x00\x00int\x8a\x11" + strings.Repeat("\xff", 16) + "\x00sbh\x00e",
		"[UUID(" + strings.Repeat("f", 32) + "), UUID(" + strings.Repeat("f", 32) + ")]"},
	{"a UUID of 129 bits", "cuuid\nUUID\n)\x81}X\x03\x00\x00\x00int\x8a\x11" + strings.Repeat("\xff", 16) + "\x01sb",
		`new uuid.UUID()!{"int": ` + "680564733841876926926749214863536422911" + "}"},
	{"a UUID with more in it", "cuuid\nUUID\n)\x81}(X\x03\x00\x00\x00intK\x05X\x01\x00\x00\x00aNub", `new uuid.UUID()!{"int": 5, "a": None}`},
	{"a UUID that was asked for before its state", "](cuuid\nUUID\n)\x81q\x00h\x00}X\x03\x00\x00\x00intK\x05sbe",
		`[new uuid.UUID()!{"int": 5}, new uuid.UUID()!{"int": 5}]`},
	{"an OrderedDict", "ccollections\nOrderedDict\n)R(K\x01NK\x02Nu", "OrderedDict{1: None, 2: None}"},
	{"an OrderedDict with attributes", "ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aNsb", `OrderedDict{}!{"a": None}`},
	{"a deque", "ccollections\ndeque\n)R(K\x01K\x02e", "deque(false 0)[1, 2]"},
	{"a deque with a bound", "ccollections\ndeque\n)K\x05\x86RK\x01a", "deque(true 5)[1]"},
	{"a deque with an odd bound", "ccollections\ndeque\n)J\xff\xff\xff\xff\x86R", "collections.deque((), -1)"},
	{"an ActorProxy", proxy + "}(" + text("aid") + text("a1") + text("name") + text("web") + text("cfg") + "N" + text("address") + "Nub",
		`Ref("a1" "web" None None)`},
	{"an ActorProxy without address", proxy + "}(" + text("name") + text("web") + text("cfg") + "N" + text("aid") + text("a1") + "ub", `Ref("a1" "web" None)`},
	{"an ActorProxy asked for again", "](" + proxy + "q\x00}(" + text("aid") + text("a1") + text("name") + text("web") + text("cfg") + "Nubh\x00e",
		`[Ref("a1" "web" None), Ref("a1" "web" None)]`},
	{"an ActorProxy with more in it", proxy + "}(" + text("aid") + text("a1") + text("name") + text("web") + text("cfg") + "N" + text("x") + "Nub",
		`copy_reg._reconstructor(pulsar.async.proxy.ActorProxy, __builtin__.object, None)!{"aid": "a1", "name": "web", "cfg": None, "x": None}`},
	{"an ActorProxy whose configuration holds it", proxy + "q\x00}(" + text("aid") + text("a1") + text("name") + text("web") + text("cfg") + "h\x00ub",
		`copy_reg._reconstructor(pulsar.async.proxy.ActorProxy, __builtin__.object, None)!{"aid": "a1", "name": "web", "cfg": ...}`},
	{"an ActorProxy whose name is a number", proxy + "}(" + text("aid") + text("a1") + text("name") + "K\x01" + text("cfg") + "Nub",
		`copy_reg._reconstructor(pulsar.async.proxy.ActorProxy, __builtin__.object, None)!{"aid": "a1", "name": 1, "cfg": None}`},
}

const proxy = "ccopy_reg\n_reconstructor\ncpulsar.async.proxy\nActorProxy\nc__builtin__\nobject\nN\x87R"

// text is a BINUNICODE.
func text(s string) string { return "X" + string([]byte{byte(len(s)), 0, 0, 0}) + s }

// data is the call that makes bytes.
func data(b string) string {
	return "c_codecs\nencode\n" + text(string(appendLatin1(nil, b))) + text("latin1") + "\x86R"
}

// power is 2^n in decimal.
func power(n int) string {
	digits := []byte{1} // the last one first
	for range n {
		carry := byte(0)
		for i, d := range digits {
			d = 2*d + carry
			digits[i], carry = d%10, d/10
		}
		if carry > 0 {
			digits = append(digits, carry)
		}
	}
	var b strings.Builder
	for i := len(digits) - 1; i >= 0; i-- {
		b.WriteByte('0' + digits[i])
	}
	return b.String()
}

func TestDecode(t *testing.T) {
	for _, c := range accepted {
		v, err := Decode(whole(c.body), Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := show(v); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// What was read is written again as the same value.
func TestAgain(t *testing.T) {
	for _, c := range accepted {
		first := decoded(t, whole(c.body))
		p, err := Append(nil, first, Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, want := show(decoded(t, p)), show(first)
		if c.name == "a UUID that was asked for before its state" {
			want = strings.ReplaceAll(want, `new uuid.UUID()!{"int": 5}`, show(&UUID{15: 5})) // now it is complete at once
		}
		if got != want {
			t.Errorf("%s: %s became %s", c.name, want, got)
		}
	}
}

// A message that breaks off anywhere is refused, where it breaks off.
func TestCutShort(t *testing.T) {
	cut := func(name string, p []byte) {
		for n := range p {
			v, err := Decode(p[:n], Limits{})
			var e *Error
			if !errors.As(err, &e) || v != nil || e.Offset < 0 || e.Offset > n || e.TooLarge || e.Reason == "" {
				t.Fatalf("%s: the first %d of %d bytes: %v, %v", name, n, len(p), v, err)
			}
		}
	}
	for _, c := range accepted {
		cut(c.name, whole(c.body))
	}
	for _, f := range corpus(t) {
		if len(f.pickle) < 500 {
			cut(f.File, f.pickle)
		}
	}
}

func TestRefuse(t *testing.T) {
	big := strings.Repeat("\xff", 64)
	for _, c := range []struct {
		name   string
		pickle string
		offset int
		opcode string
		reason string
	}{
		{"nothing", "", 0, "", "cut short"},
		{"text", "hello", 0, "", "byte 0x68, not with PROTO"},
		{"protocol 0", "(dp0\n.", 0, "", "not with PROTO"},
		{"protocol 3", "\x80\x03N.", 0, "PROTO", "of protocol 3; protocol 2"},
		{"protocol 4", "\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00N.", 0, "PROTO", "of protocol 4; protocol 2"},
		{"PROTO again", "\x80\x02\x80\x02N.", 2, "PROTO", "only at the start"},
		{"no value", "\x80\x02.", 2, "STOP", "no value"},
		{"two values", "\x80\x02NN.", 4, "STOP", "1 values are left over"},
		{"a MARK left", "\x80\x02(N.", 4, "STOP", "MARK was never used"},
		{"bytes after STOP", "\x80\x02N.N", 3, "STOP", "1 bytes follow"},
		{"another pickle after STOP", "\x80\x02N.\x80\x02N.", 3, "STOP", "4 bytes follow"},

		{"an int cut", "\x80\x02J\x00\x00", 2, "BININT", "4 bytes where 2 remain"},
		{"LONG1 cut", "\x80\x02\x8a\xff" + big, 2, "LONG1", "255 bytes where 64 remain"},
		{"LONG4 negative", "\x80\x02\x8b\xff\xff\xff\xff", 2, "LONG4", "int of -1 bytes"},
		{"a str longer than the message", "\x80\x02X\xff\xff\xff\xffa.", 2, "BINUNICODE", "4294967295 bytes where 2 remain"},
		{"an old str longer than the message", "\x80\x02T\xff\xff\xff\x7fa.", 2, "BINSTRING", "2147483647 bytes where 2 remain"},
		{"an old str of less than nothing", "\x80\x02T\xff\xff\xff\xffa.", 2, "BINSTRING", "str of -1 bytes"},
		{"not UTF-8", "\x80\x02X\x01\x00\x00\x00\xff.", 2, "BINUNICODE", "not UTF-8"},
		{"overlong UTF-8", "\x80\x02X\x02\x00\x00\x00\xc0\x80.", 2, "BINUNICODE", "not UTF-8"},
		{"beyond Unicode", "\x80\x02X\x04\x00\x00\x00\xf4\x90\x80\x80.", 2, "BINUNICODE", "not UTF-8"},
		{"half a surrogate", "\x80\x02X\x02\x00\x00\x00\xed\xa0.", 2, "BINUNICODE", "not UTF-8"},
		{"a surrogate and more", "\x80\x02X\x04\x00\x00\x00\xed\xa0\x80\xff.", 2, "BINUNICODE", "not UTF-8"},
		{"old and not ASCII", "\x80\x02U\x01\xe9.", 2, "SHORT_BINSTRING", "not ASCII"},

		{"PUT of nothing", "\x80\x02q\x00.", 2, "BINPUT", "takes 1 values"},
		{"PUT of a MARK", "\x80\x02N(q\x00.", 4, "BINPUT", "takes 1 values, and 0 stand above the last MARK"},
		{"PUT with a gap", "\x80\x02]q\x01.", 3, "BINPUT", "memo entry 1 where 0 comes next"},
		{"PUT far off", "\x80\x02]r\xff\xff\xff\x7f.", 3, "LONG_BINPUT", "memo entry 2147483647 where 0 comes next"},
		{"PUT farther off", "\x80\x02]r\xff\xff\xff\xff.", 3, "LONG_BINPUT", "memo entry 4294967295 where 0 comes next"},
		{"PUT again", "\x80\x02]q\x00q\x00.", 5, "BINPUT", "memo entry 0 where 1 comes next"},
		{"PUT of an int", "\x80\x02K\x01q\x00.", 4, "BINPUT", "an int in the memo"},
		{"PUT of None", "\x80\x02Nq\x00.", 3, "BINPUT", "None in the memo"},
		{"GET of nothing", "\x80\x02h\x00.", 2, "BINGET", "memo entry 0, and there are 0"},
		{"GET far off", "\x80\x02j\xff\xff\xff\xff.", 2, "LONG_BINGET", "memo entry 4294967295, and there are 0"},

		{"TUPLE without MARK", "\x80\x02Nt.", 3, "TUPLE", "there is no MARK"},
		{"TUPLE2 of one", "\x80\x02N\x86.", 3, "TUPLE2", "takes 2 values, and 1 stand"},
		{"TUPLE1 across a MARK", "\x80\x02N(\x85.", 4, "TUPLE1", "and 0 stand above the last MARK"},
		{"APPEND to nothing", "\x80\x02Na.", 3, "APPEND", "takes 2 values"},
		{"APPEND to None", "\x80\x02NNa.", 4, "APPEND", "appended to None"},
		{"APPEND to a tuple", "\x80\x02)Na.", 4, "APPEND", "appended to a tuple"},
		{"APPEND to a set", "\x80\x02c__builtin__\nset\n]\x85RNa.", 23, "APPEND", "appended to a set"},
		{"APPENDS to nothing", "\x80\x02(Ne.", 4, "APPENDS", "takes 1 values"},
		{"APPENDS to a dict", "\x80\x02}(Ne.", 5, "APPENDS", "appended to a dict"},
		{"APPEND across a MARK", "\x80\x02](Na.", 5, "APPEND", "takes 2 values, and 1 stand above"},
		{"SETITEM in a list", "\x80\x02]K\x00Ns.", 6, "SETITEM", "set in a list"},
		{"SETITEMS of a key alone", "\x80\x02}(Nu.", 5, "SETITEMS", "a key without a value"},
		{"a list as a key", "\x80\x02}]Ns.", 5, "SETITEM", "a list is the key of a dict"},
		{"a dict as a key", "\x80\x02}}Ns.", 5, "SETITEM", "a dict is the key of a dict"},
		{"a tuple of a list as a key", "\x80\x02}]\x85\x85Ns.", 7, "SETITEM", "a tuple is the key of a dict"},
		{"a set as a key", "\x80\x02}c__builtin__\nset\n]\x85RNs.", 24, "SETITEM", "a set is the key of a dict"},

		{"GLOBAL cut", "\x80\x02cos\nsys", 2, "GLOBAL", "cut short in the name"},
		{"GLOBAL of no module", "\x80\x02c\nx\n.", 2, "GLOBAL", "module of a global is empty"},
		{"GLOBAL of no name", "\x80\x02cx\n\n.", 2, "GLOBAL", "name of a global is empty"},
		{"GLOBAL beyond ASCII", "\x80\x02cx\n\xc3\xa9\n.", 2, "GLOBAL", "not ASCII"},
		{"REDUCE of a list", "\x80\x02cm\nC\n]R.", 8, "REDUCE", "arguments are a list"},
		{"REDUCE of None", "\x80\x02N)R.", 4, "REDUCE", "None is called"},
		{"REDUCE of a str", "\x80\x02X\x00\x00\x00\x00)R.", 8, "REDUCE", "a str is called"},
		{"NEWOBJ of a tuple", "\x80\x02))\x81.", 4, "NEWOBJ", "a tuple is called"},
		{"BUILD of None", "\x80\x02NNb.", 4, "BUILD", "None gets a state"},
		{"BUILD of a dict", "\x80\x02}Nb.", 4, "BUILD", "a dict gets a state"},
		{"BUILD of a list", "\x80\x02]}b.", 4, "BUILD", "a list gets a state"},
		{"BUILD of bytes", "\x80\x02c__builtin__\nbytes\n)R}b.", 24, "BUILD", "bytes gets a state"},
		{"two states", "\x80\x02cm\nC\n)RNb}b.", 12, "BUILD", "second state"},
		{"two states of an OrderedDict", "\x80\x02ccollections\nOrderedDict\n)RNb}b.", 32, "BUILD", "second state"},
		{"APPEND after BUILD", "\x80\x02cm\nC\n)RNbNa.", 12, "APPEND", "its items or its state already"},
		{"APPEND after SETITEM", "\x80\x02cm\nC\n)RK\x01NsNa.", 14, "APPEND", "its items or its state already"},
		{"SETITEM after BUILD", "\x80\x02cm\nC\n)RNbK\x01Ns.", 14, "SETITEM", "its state already"},

		{"POP of nothing", "\x80\x020.", 2, "POP", "takes 1 values"},
		{"POP of a MARK", "\x80\x02(0.", 3, "POP", "takes 1 values"},
		{"POP_MARK without MARK", "\x80\x021.", 2, "POP_MARK", "no MARK"},
		{"a call dropped", "\x80\x02Ncos\nsystem\nX\x02\x00\x00\x00ls\x85R0.", 23, "POP", "result of a call is dropped"},
		{"a call dropped in a row", "\x80\x02N(cos\nsystem\nX\x02\x00\x00\x00ls\x85R1.", 24, "POP_MARK", "result of a call is dropped"},
		{"a call dropped in a row for another", "\x80\x02cm\nC\nq\x00)Rq\x01(h\x00)R1h\x01.", 18, "POP_MARK", "result of a call is dropped"},
		{"a call dropped for another", "\x80\x02cm\nC\n)Rq\x00cos\nsystem\n)R0h\x00.", 24, "POP", "result of a call is dropped"},
		{"a function that sets the state", "\x80\x02cm\nC\n)Rq\x00cm\nsetter\nh\x00N\x86R0.", 26, "POP", "result of a call is dropped"},

		{"DUP", "\x80\x02]2\x86.", 3, "DUP", "no pickler uses it"},
		{"INT", "\x80\x02I1\n.", 2, "INT", "text protocol 0"},
		{"LONG", "\x80\x02L1L\n.", 2, "LONG", "text protocol 0"},
		{"FLOAT", "\x80\x02F1\n.", 2, "FLOAT", "text protocol 0"},
		{"STRING", "\x80\x02S'a'\n.", 2, "STRING", "text protocol 0"},
		{"UNICODE", "\x80\x02Va\n.", 2, "UNICODE", "text protocol 0"},
		{"GET", "\x80\x02g0\n.", 2, "GET", "text protocol 0"},
		{"PUT", "\x80\x02]p0\n.", 3, "PUT", "text protocol 0"},
		{"LIST", "\x80\x02(l.", 3, "LIST", "text protocol 0"},
		{"DICT", "\x80\x02(d.", 3, "DICT", "text protocol 0"},
		{"INST", "\x80\x02(ios\nsystem\n.", 3, "INST", "text protocol 0"},
		{"OBJ", "\x80\x02(cos\nsystem\no.", 14, "OBJ", "no pickler uses it"},
		{"PERSID", "\x80\x02Px\n.", 2, "PERSID", "outside of the message"},
		{"BINPERSID", "\x80\x02NQ.", 3, "BINPERSID", "outside of the message"},
		{"EXT1", "\x80\x02\x82\x01.", 2, "EXT1", "registry of extensions"},
		{"EXT2", "\x80\x02\x83\x01\x00.", 2, "EXT2", "registry of extensions"},
		{"EXT4", "\x80\x02\x84\x01\x00\x00\x00.", 2, "EXT4", "registry of extensions"},
		{"BINBYTES", "\x80\x02B\x00\x00\x00\x00.", 2, "BINBYTES", "of protocol 3"},
		{"SHORT_BINBYTES", "\x80\x02C\x00.", 2, "SHORT_BINBYTES", "of protocol 3"},
		{"SHORT_BINUNICODE", "\x80\x02\x8c\x00.", 2, "SHORT_BINUNICODE", "of protocol 4"},
		{"BINUNICODE8", "\x80\x02\x8d" + big, 2, "BINUNICODE8", "of protocol 4"},
		{"BINBYTES8", "\x80\x02\x8e" + big, 2, "BINBYTES8", "of protocol 4"},
		{"EMPTY_SET", "\x80\x02\x8f.", 2, "EMPTY_SET", "of protocol 4"},
		{"ADDITEMS", "\x80\x02\x90.", 2, "ADDITEMS", "of protocol 4"},
		{"FROZENSET", "\x80\x02(\x91.", 3, "FROZENSET", "of protocol 4"},
		{"NEWOBJ_EX", "\x80\x02\x92.", 2, "NEWOBJ_EX", "of protocol 4"},
		{"STACK_GLOBAL", "\x80\x02\x93.", 2, "STACK_GLOBAL", "of protocol 4"},
		{"MEMOIZE", "\x80\x02]\x94.", 3, "MEMOIZE", "of protocol 4"},
		{"FRAME", "\x80\x02\x95" + big, 2, "FRAME", "of protocol 4"},
		{"BYTEARRAY8", "\x80\x02\x96" + big, 2, "BYTEARRAY8", "of protocol 5"},
		{"NEXT_BUFFER", "\x80\x02\x97.", 2, "NEXT_BUFFER", "of protocol 5"},
		{"READONLY_BUFFER", "\x80\x02\x98.", 2, "READONLY_BUFFER", "of protocol 5"},
		{"no opcode", "\x80\x02\xfe.", 2, "", "byte 0xfe is not an opcode"},
	} {
		v, err := Decode([]byte(c.pickle), Limits{})
		var e *Error
		if !errors.As(err, &e) || v != nil {
			t.Errorf("%s: %v, %v", c.name, v, err)
			continue
		}
		if e.Offset != c.offset || e.Opcode != c.opcode || !strings.Contains(e.Reason, c.reason) || e.TooLarge {
			t.Errorf("%s: %v (too large: %v); want %s at byte %d, %q", c.name, err, e.TooLarge, c.opcode, c.offset, c.reason)
		}
	}
}

// Each byte is an opcode that is read, one that is refused with its name and a
// reason, or none.
func TestEveryOpcode(t *testing.T) {
	read, refused := 0, 0
	for op := range 256 {
		name, why := describe(byte(op))
		_, err := Decode(append(whole("")[:2], byte(op)), Limits{})
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("0x%02x alone is a pickle", op)
		}
		switch {
		case name == "":
			if !strings.Contains(e.Reason, "is not an opcode") {
				t.Errorf("0x%02x: %v", op, err)
			}
		case why != "":
			refused++
			if e.Reason != why || e.Opcode != name {
				t.Errorf("%s: %v", name, err)
			}
		default:
			read++
		}
	}
	if read != 36 || refused != 68-36 { // pickletools of CPython knows 68
		t.Errorf("%d opcodes are read, %d refused by name", read, refused)
	}
}

func TestLimits(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("]", n) + strings.Repeat("a", n-1) }
	tuples := func(n int) string { return ")" + strings.Repeat("\x85", n-1) }
	for _, c := range []struct {
		name   string
		body   string
		limits Limits
		reason string // empty: accepted
	}{
		{"a message just small enough", "N", Limits{Message: 4}, ""},
		{"a message too long", "N", Limits{Message: 3}, "a message of 4 bytes, more than 3"},
		{"lists just shallow enough", nested(1000), Limits{}, ""},
		{"lists too deep", nested(1001), Limits{}, "more than 1000 deep"},
		{"tuples just shallow enough", tuples(1000), Limits{}, ""},
		{"tuples too deep", tuples(1001), Limits{}, "more than 1000 deep"},
		{"deep where two meet", "](]q\x00]aN]]h\x00aae", Limits{Depth: 5}, ""},
		{"too deep where two meet", "](]q\x00]aN]]h\x00aae", Limits{Depth: 4}, "more than 4 deep"},
		{"what holds itself is not deep", "]q\x00h\x00a", Limits{Depth: 1}, ""},
		{"an int just short enough", "\x8b\x00\x10\x00\x00" + strings.Repeat("\x01", 4096), Limits{}, ""},
		{"an int too long", "\x8b\x01\x10\x00\x00" + strings.Repeat("\x01", 4097), Limits{}, "an int of 4097 bytes, more than 4096"},
		{"an int too long that is not there", "\x8b\xff\xff\xff\x7f", Limits{}, "an int of 2147483647 bytes, more than 4096"},
		{"an int too long by less", "\x8a\x09" + strings.Repeat("\x01", 9), Limits{IntBytes: 8}, "an int of 9 bytes, more than 8"},
		{"70,000 ints", list70000(), Limits{}, ""},
		{"70,000 ints on a budget", list70000(), Limits{Memory: 1 << 20}, "more than 1048576 bytes of memory"},
		{"no memory at all", "M\x00\x01", Limits{Memory: 1}, "more than 1 bytes of memory"},
	} {
		v, err := Decode(whole(c.body), c.limits)
		var e *Error
		switch {
		case c.reason == "":
			if err != nil || v == nil {
				t.Errorf("%s: %v", c.name, err)
			}
		case !errors.As(err, &e) || !e.TooLarge || !strings.Contains(e.Reason, c.reason):
			t.Errorf("%s: %v, want %q", c.name, err, c.reason)
		}
	}
}

// list70000 is a list of 70,000 ints as CPython writes it.
func list70000() string {
	var b strings.Builder
	b.WriteString("]q\x00")
	for i := range 70000 {
		if i%batchSize == 0 {
			if i > 0 {
				b.WriteByte('e')
			}
			b.WriteByte('(')
		}
		b.WriteString("J\x00\x00")
		b.WriteByte(byte(i))
		b.WriteByte(byte(i>>8)&0x7f | 1)
	}
	b.WriteByte('e')
	return b.String()
}

// What is one value in Python is one here.
func TestIdentity(t *testing.T) {
	l := decoded(t, whole("](]q\x00h\x00h\x00e")).(*List)
	if l.Items[0] != l.Items[1] || l.Items[1] != l.Items[2] {
		t.Error("a list that stands three times became several")
	}
	own := decoded(t, whole("]q\x00h\x00a")).(*List)
	if own.Items[0] != Value(own) {
		t.Error("a list that holds itself holds another")
	}
	tuple := decoded(t, whole("]q\x00h\x00\x85q\x01a0h\x01")).(*Tuple)
	if tuple.Items[0].(*List).Items[0] != Value(tuple) {
		t.Error("a tuple that holds itself holds another")
	}
	o := decoded(t, whole("cm\nC\n)\x81q\x00}X\x02\x00\x00\x00meh\x00sb")).(*Object)
	if o.State.(*Dict).Pairs[0].Value != Value(o) {
		t.Error("an object that holds itself holds another")
	}
	// Two equal texts are two to CPython, one that stands twice is one.
	same := "](X\x03\x00\x00\x00abcq\x00h\x00X\x03\x00\x00\x00abce"
	p, err := Append(nil, decoded(t, whole(same)), Limits{})
	if want := whole("]q\x00(X\x03\x00\x00\x00abcq\x01h\x01X\x03\x00\x00\x00abcq\x02e"); err != nil || !bytes.Equal(p, want) {
		t.Errorf("%q, want %q", p, want)
	}
}

// The result must not change when the caller's buffer does.
func TestStandsAlone(t *testing.T) {
	for _, c := range accepted {
		p := whole(c.body)
		v := decoded(t, p)
		before := show(v)
		for i := range p {
			p[i] = 'x'
		}
		if after := show(v); after != before {
			t.Errorf("%s: %s became %s", c.name, before, after)
		}
	}
}

func TestFloatBits(t *testing.T) {
	const bits = 0xfff8_0000_dead_beef
	p, err := Append(nil, Float(math.Float64frombits(bits)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := math.Float64bits(float64(decoded(t, p).(Float))); got != bits {
		t.Errorf("the bits of a NaN became %x", got)
	}
}

// TestDefaultMemory: what the doc of Limits.Memory says is read.
func TestDefaultMemory(t *testing.T) {
	many := func(n int, make func(i int) Value) Value {
		l := &List{}
		for i := range n {
			l.Items = append(l.Items, make(i))
		}
		return l
	}
	row := []Value{Str("id"), Str("name"), Str("price"), Str("size"), Str("tags")}
	for name, v := range map[string]Value{
		"500,000 ints":  many(500_000, func(i int) Value { return Int(i) }),
		"200,000 texts": many(200_000, func(i int) Value { return Str(strconv.Itoa(i)) }),
		"50,000 dicts": many(50_000, func(i int) Value {
			d := &Dict{}
			for k, key := range row {
				d.Pairs = append(d.Pairs, Pair{key, Int(1000*i + k)})
			}
			return d
		}),
		"one text of 16 MiB":  Str(strings.Repeat("a", DefaultMessage-100)),
		"bytes of 8 MiB":      Bytes(strings.Repeat("\xff", DefaultMessage/2-100)),
		"4,096 texts of 4 KB": many(4096, func(i int) Value { return Str(strings.Repeat("b", 4000)) }),
		"bytearray of 8 MiB":  &ByteArray{bytes.Repeat([]byte{0xff}, DefaultMessage/2-100)},
	} {
		p, err := Append(nil, v, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := Decode(p, Limits{}); err != nil {
			t.Errorf("%s, %d bytes: %v", name, len(p), err)
		}
	}
}

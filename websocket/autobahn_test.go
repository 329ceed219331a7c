package websocket_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/arbiter-go/arbiter/internal/frame"
)

// autobahn is one case of the groups 1 to 7, 9 and 10 of the Autobahn test suite for
// websockets (https://github.com/crossbario/autobahn-testsuite), by its number there.
// There the other end echoes each message. Here it is asked to, by whatever a message
// of the profile is; TestConformance says how.
type autobahn struct {
	id, what string
	chop     int // at most so many bytes a write; 0: frame by frame
	turns    []turn
}

// A turn is a frame, or something to wait for.
type turn struct {
	op    frame.Opcode
	more  bool // the message goes on
	rsv   byte // the reserved bits, 1 to 7
	text  string
	size  int // of the message, with what the profile puts around it; 0: as text has it
	split int // it goes in fragments of so many bytes

	want string // what is waited for: "echo", "pong payload", "end 1002"
	late bool   // echoes may come before it, or not at all
}

func text(s string) turn      { return turn{op: frame.Text, text: s} }
func blob(s string) turn      { return turn{op: frame.Binary, text: s} }
func cont(s string) turn      { return turn{op: frame.Continuation, text: s} }
func ping(s string) turn      { return turn{op: frame.Ping, text: s} }
func pong(s string) turn      { return turn{op: frame.Pong, text: s} }
func opcode(n byte) turn      { return turn{op: frame.Opcode(n)} }
func bye(payload string) turn { return turn{op: frame.Close, text: payload} }

func (t turn) on() turn              { t.more = true; return t }
func (t turn) bits(n byte) turn      { t.rsv = n; return t }
func (t turn) with(s string) turn    { t.text = s; return t }
func (t turn) of(size int) turn      { t.size = size; return t }
func (t turn) pieces(n int) turn     { t.split = n; return t }
func (t turn) orEchoes() turn        { t.late = true; return t }
func want(s string) turn             { return turn{want: s} }
func status(code int, s string) turn { return bye(string([]byte{byte(code >> 8), byte(code)}) + s) }

var (
	echo     = want("echo")
	refused  = want("end 1002") // as RFC 6455 §7.4.1 has it: a violation of the protocol
	notUTF8  = want("end 1007")
	goodbye  = status(1000, "")
	finished = want("end 1000")
	ponged   = func(s string) turn { return want("pong " + s) }
)

// autobahnCases are all of them. whole has the sizes and counts of group 9 be those of
// the suite.
func autobahnCases(whole bool) (list []autobahn) {
	group := ""
	n := 0
	begin := func(id string) { group, n = id, 0 }
	chopped := func(chop int, what string, turns ...turn) {
		n++
		list = append(list, autobahn{group + "." + strconv.Itoa(n), what, chop, turns})
	}
	add := func(what string, turns ...turn) { chopped(0, what, turns...) }

	// 1: sizes of a message, around those at which the header changes.
	for i, op := range []turn{text("*"), blob("\xfe")} {
		begin(fmt.Sprintf("1.%d", i+1))
		add("nothing in it", op.with(""), echo)
		for _, size := range []int{125, 126, 127, 128, 65535, 65536} {
			add(fmt.Sprint(size, " bytes"), op.of(size), echo)
		}
		chopped(997, "65536 bytes, chopped", op.of(65536), echo)
	}

	// 2: pings and pongs.
	begin("2")
	full := strings.Repeat("\xfe", 125)
	add("a ping with nothing in it", ping(""), ponged(""))
	add("a ping with text", ping("Hello, world!"), ponged("Hello, world!"))
	add("a ping with what is not UTF-8", ping("\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), ponged("\x00\xff\xfe\xfd\xfc\xfb\x00\xff"))
	add("the longest ping", ping(full), ponged(full))
	add("a ping that is too long", ping(full+"\xfe"), refused)
	chopped(1, "the longest ping, byte by byte", ping(full), ponged(full))
	add("a pong nobody asked for", pong(""))
	add("a pong with a payload that nobody asked for", pong("unasked"))
	add("such a pong, then a ping", pong("unasked"), ping("asked"), ponged("asked"))
	var ten []turn
	for i := range 10 {
		ten = append(ten, ping(fmt.Sprint("payload ", i)))
	}
	for i := range 10 {
		ten = append(ten, ponged(fmt.Sprint("payload ", i)))
	}
	add("ten pings", ten...)
	chopped(1, "ten pings, byte by byte", ten...)

	// 3: reserved bits.
	begin("3")
	hello := text("Hello, world!")
	add("text with bit 1", hello.bits(1), refused)
	add("text, text with bit 2, a ping", hello, echo, hello.bits(2), ping(""), refused)
	add("text, text with bits 3, a ping, each by itself", hello, echo, hello.bits(3), ping(""), refused)
	chopped(1, "text, text with bit 4, a ping, byte by byte", hello, echo, hello.bits(4), ping(""), refused)
	add("binary with bits 5", blob("\x00\xff\xfe").bits(5), refused)
	add("a ping with bits 6", ping("Hello, world!").bits(6), refused)
	add("a close with bits 7", bye("").bits(7), refused)

	// 4: reserved opcodes.
	for i, first := range []byte{3, 11} {
		begin(fmt.Sprintf("4.%d", i+1))
		add("alone", opcode(first), refused)
		add("alone, with a payload", opcode(first+1).with("reserved"), refused)
		add("between text and a ping", hello, echo, opcode(first+2), ping(""), refused)
		add("between text and a ping, with a payload", hello, echo, opcode(first+3).with("reserved"), ping(""), refused)
		add("the last one, likewise", hello, echo, opcode(first+4).with("reserved"), ping(""), refused)
	}

	// 5: fragments.
	begin("5")
	halves := []turn{text("fragment 1").on(), cont("fragment 2"), echo}
	between := []turn{text("fragment 1").on(), ping("between"), ponged("between"), cont("fragment 2"), echo}
	add("a ping in two", ping("fragment 1").on(), cont("fragment 2"), refused)
	add("a pong in two", pong("fragment 1").on(), cont("fragment 2"), refused)
	add("text in two", halves...)
	add("text in two, each by itself", halves...)
	chopped(1, "text in two, byte by byte", halves...)
	add("text in two, a ping between", between...)
	add("text in two, a ping between, each by itself", between...)
	chopped(1, "text in two, a ping between, byte by byte", between...)
	for _, t := range []turn{cont("of nothing"), cont("of nothing").on()} {
		name := "the last fragment of nothing"
		if t.more {
			name = "a fragment of nothing"
		}
		chopped(1<<20, name+", then text", t, hello, refused)
		add(name+", then text, each by itself", t, hello, refused)
		chopped(1, name+", then text, byte by byte", t, hello, refused)
	}
	add("text in two, then a fragment of nothing", text("fragment 1").on(), cont("fragment 2"), echo, cont("fragment 3").on(), hello, refused)
	add("a fragment of nothing before text in two, twice", cont("fragment 1").on(), text("fragment 2").on(), cont("fragment 3"), refused)
	add("the last fragment of nothing before text in two, twice", cont("fragment 1"), text("fragment 2").on(), cont("fragment 3"), refused)
	add("text in two that both say text", text("fragment 1").on(), text("fragment 2"), refused)
	five := []turn{
		text("fragment 1").on(), cont("fragment 2").on(), ping("one"), ponged("one"),
		cont("fragment 3").on(), cont("fragment 4").on(), ping("two"), cont("fragment 5"), ponged("two"), echo,
	}
	add("text in five, pings between, the first answered before the rest is sent", five...)
	add("the same, each by itself", five...)

	list = append(list, textCases()...)

	// 7: how a connection is closed.
	begin("7.1")
	add("text, then a close", hello, echo, goodbye, finished)
	add("two closes", goodbye, bye(""), finished)
	add("a ping after the close", goodbye, ping("late"), finished)
	add("text after the close", goodbye, hello, finished)
	add("a close between fragments", text("fragment 1").on(), goodbye, cont("fragment 2"), finished)
	chopped(1<<20, "256 KiB of text, text, a close and a ping, all at once", text("*").of(256<<10), hello, goodbye, ping(""), finished.orEchoes())
	begin("7.3")
	add("a close with nothing in it", bye(""), finished)
	add("a close of one byte", bye("a"), refused)
	add("a close of a code", goodbye, finished)
	add("a close with a reason", status(1000, "Hello, world!"), finished)
	add("a close with the longest reason", status(1000, strings.Repeat("*", 123)), finished)
	add("a close with a reason that is too long", status(1000, strings.Repeat("*", 124)), refused)
	begin("7.5")
	add("a close with a reason that is not UTF-8", status(1000, kosme+"\xed\xa0\x80edited"), notUTF8)
	begin("7.7")
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		add(fmt.Sprint("the code ", code), status(code, ""), want(fmt.Sprint("end ", code)))
	}
	begin("7.9")
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		add(fmt.Sprint("the code ", code, ", which may not be sent"), status(code, ""), refused)
	}
	begin("7.13")
	add("the code 5000", status(5000, ""), refused)
	add("the code 65535", status(65535, ""), refused)

	// 9: much of everything. A sixteenth of it shows the same, but for the time it takes.
	most, times := 1<<20, 100
	if whole {
		most, times = 16<<20, 1000
	}
	for i, op := range []turn{text("*"), blob("\xfe")} {
		begin(fmt.Sprintf("9.%d", i+1))
		for _, size := range []int{most / 256, most / 64, most / 16, most / 4, most / 2, most} {
			add(fmt.Sprint(size, " bytes"), op.of(size), echo)
		}
	}
	for i, op := range []turn{text("*"), blob("\xfe")} {
		begin(fmt.Sprintf("9.%d", i+3))
		for _, piece := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			if !whole {
				piece = max(piece/16, 16)
			}
			add(fmt.Sprintf("%d bytes in fragments of %d", most/4, piece), op.of(most/4).pieces(piece), echo)
		}
	}
	for i, op := range []turn{text("*"), blob("\xfe")} {
		begin(fmt.Sprintf("9.%d", i+5))
		for _, chop := range []int{64, 128, 256, 512, 1024, 2048} {
			chopped(chop, fmt.Sprintf("%d bytes, chopped to %d", most/16, chop), op.of(most/16), echo)
		}
	}
	for i, op := range []turn{text("*"), blob("\xfe")} {
		begin(fmt.Sprintf("9.%d", i+7))
		for _, size := range []int{0, 16, 64, 256, 1024, 4096} {
			var turns []turn
			for range times {
				turns = append(turns, op.with(strings.Repeat(op.text, size)), echo)
			}
			add(fmt.Sprintf("%d times %d bytes", times, size), turns...)
		}
	}

	begin("10.1")
	add("65536 bytes in fragments of 1300", text("*").of(65536).pieces(1300), echo)
	return list
}

const kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" // "kosme" in Greek, the suite's example

// textCases are group 6: which text is UTF-8, and when it shows that it is not. Those
// from 6.5 on are the sequences of Markus Kuhn's stress test of UTF-8 decoders.
func textCases() (list []autobahn) {
	add := func(id, what string, turns ...turn) { list = append(list, autobahn{id, what, 0, turns}) }
	add("6.1.1", "nothing", text(""), echo)
	add("6.1.2", "nothing, three times", text("").on(), cont("").on(), cont(""), echo)
	add("6.1.3", "something between nothing and nothing", text("").on(), cont("the middle").on(), cont(""), echo)
	const words = "Hello-µ@ßöäüàá-UTF-8!!"
	add("6.2.1", "letters of two bytes", text(words), echo)
	add("6.2.2", "cut between two letters", text("Hello-µ@ßöä").on(), cont("üàá-UTF-8!!"), echo)
	add("6.2.3", "cut at each byte", text(words).pieces(1), echo)
	add("6.2.4", "letters of three bytes, cut at each byte", text(kosme).pieces(1), echo)
	const surrogate, beyond = "\xed\xa0\x80", "\xf4\x90\x80\x80"
	add("6.3.1", "a surrogate", text(kosme+surrogate+"edited"), notUTF8)
	add("6.3.2", "a surrogate, cut at each byte", text(kosme+surrogate+"edited").pieces(1), notUTF8)
	first := []turn{text(kosme).on(), ping("so far so good"), ponged("so far so good")}
	add("6.4.1", "what is wrong in the second of three fragments: the third is not waited for", append(first, cont(beyond).on(), notUTF8)...)
	first = []turn{text(kosme + beyond[:1]).on(), ping("so far so good"), ponged("so far so good")}
	add("6.4.2", "the same with nothing behind the byte that is wrong", append(first, cont(beyond[1:2]).on(), notUTF8)...)
	// A frame that fits into the reader's buffer is looked at when it is whole, which the
	// suite calls not strict. One that does not is refused at once, as the tests of the
	// package frame show.
	add("6.4.3", "what is wrong in the middle of a frame", text(kosme+beyond+"edited"), notUTF8)
	add("6.4.4", "the same", text(kosme+beyond+"edited"), notUTF8)

	group := 5
	sequences := func(what string, valid bool, list ...string) {
		for i, s := range list {
			end := notUTF8
			if valid {
				end = echo
			}
			add(fmt.Sprintf("6.%d.%d", group, i+1), what, text(s), end)
		}
		group++
	}
	sequences("valid", true, "hello$world", "hello¢world", "hello€world", "hello\U00024b62world", kosme)
	for i := range len(kosme) {
		end := notUTF8
		if i == 1 || i == 4 || i == 6 || i == 8 || i == 10 {
			end = echo
		}
		add(fmt.Sprintf("6.%d.%d", group, i+1), "the beginning of a text", text(kosme[:i+1]), end)
	}
	group++
	sequences("the first of its length", true, "\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80")
	sequences("the first of 5 and of 6 bytes", false, "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80")
	sequences("the last of its length", true, "\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf")
	sequences("the last of 4, 5 and 6 bytes", false, "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf")
	sequences("beside a border", true, "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf")
	add("6.11.5", "beyond the last", text(beyond), notUTF8)
	var alone []string
	for n := range 7 {
		s := strings.Repeat("\x80\xbf", 4)[:max(n, 1)]
		if n == 1 {
			s = "\xbf"
		}
		alone = append(alone, s)
	}
	every := func(from, to byte, behind string) (s string) {
		for b := from; b < to; b++ {
			s += string([]byte{b}) + behind
		}
		return s
	}
	sequences("continuation bytes alone", false, append(alone, every(0x80, 0xbf, ""))...)
	sequences("first bytes alone", false, every(0xc0, 0xdf, " "), every(0xe0, 0xef, " "), every(0xf0, 0xf7, " "), every(0xf8, 0xfb, " "), every(0xfc, 0xfd, " "))
	cut := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80", "\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	sequences("without the last byte", false, cut...)
	sequences("many without the last byte", false, strings.Join(cut, ""))
	sequences("bytes that never are", false, "\xfe", "\xff", "\xfe\xfe\xff\xff")
	sequences("an ASCII letter made too long", false, "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf")
	sequences("the last that is too long", false, "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf")
	sequences("zero made too long", false, "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80")
	sequences("half a surrogate pair", false, "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf")
	var pairs []string
	for _, high := range []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf"} {
		pairs = append(pairs, high+"\xed\xb0\x80", high+"\xed\xbf\xbf")
	}
	sequences("a surrogate pair", false, pairs...)
	var none []string
	for plane := rune(0); plane <= 0x10; plane++ {
		none = append(none, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	sequences("what is no character, and UTF-8", true, none...)
	sequences("special characters", true, "\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff")
	return list
}

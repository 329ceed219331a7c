package pickle

import (
	"strings"
	"unicode/utf8"
	"unsafe"
)

// validText reports whether s is what CPython's UTF-8 codec takes with the error
// handler surrogatepass: UTF-8, and three bytes for each lone surrogate.
func validText(s string) bool {
	if utf8.ValidString(s) {
		return true
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			if s[i] != 0xed || len(s)-i < 3 || s[i+1]&0xe0 != 0xa0 || s[i+2]&0xc0 != 0x80 {
				return false
			}
			n = 3
		}
		i += n
	}
	return true
}

// latin1 returns the bytes that the latin-1 codec makes of s. ok is false if s has
// a character beyond U+00FF. If s is ASCII its own bytes are returned.
func latin1(s string) (b string, ok bool) {
	wide, ok := beyondASCII(s)
	if !ok || wide == 0 {
		return s, ok
	}
	out := toLatin1(s, wide)
	return unsafe.String(unsafe.SliceData(out), len(out)), true // nobody else has out
}

// latin1Bytes is latin1, but what it returns is nobody else's.
func latin1Bytes(s string) (b []byte, ok bool) {
	wide, ok := beyondASCII(s)
	if !ok {
		return nil, false
	}
	return toLatin1(s, wide), true
}

// beyondASCII returns how many characters of s, which is valid, are not ASCII. ok is
// false if any is beyond U+00FF.
func beyondASCII(s string) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x80 {
			if c != 0xc2 && c != 0xc3 {
				return 0, false
			}
			n++
			i++ // a continuation follows
		}
	}
	return n, true
}

func toLatin1(s string, wide int) []byte {
	out := make([]byte, 0, len(s)-wide)
	if wide == 0 {
		return append(out, s...)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x80 {
			i++
			c = c<<6 | s[i]&0x3f
		}
		out = append(out, c)
	}
	return out
}

// latin1Len is how many bytes appendLatin1 appends.
func latin1Len(b string) int {
	n := len(b)
	for i := range len(b) {
		n += int(b[i] >> 7)
	}
	return n
}

// appendLatin1 appends the text whose latin-1 bytes are b.
func appendLatin1(dst []byte, b string) []byte {
	for i := range len(b) {
		if c := b[i]; c < 0x80 {
			dst = append(dst, c)
		} else {
			dst = append(dst, 0xc0|c>>6, 0x80|c&0x3f)
		}
	}
	return dst
}

// lineable reports whether s can be a line of GLOBAL.
func lineable(s string) bool {
	return s != "" && ascii(s) && strings.IndexByte(s, 10) < 0
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

package frame

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseCloseRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, payload string
		close         CloseCode
	}{
		{"one byte", "\x03", CloseProtocol},
		{"reason not utf-8", "\x03\xe8\xff", CloseInvalidUTF8},
		{"reason cut", "\x03\xe8caf\xc3", CloseInvalidUTF8},
		{"reason with a surrogate", "\x03\xe8\xed\xa0\x80", CloseInvalidUTF8},
	} {
		_, _, err := ParseClose([]byte(tt.payload))
		var e *Error
		if !errors.As(err, &e) || e.Close != tt.close {
			t.Errorf("%s: %v, want an *Error with %d", tt.name, err, tt.close)
		}
	}
}

func TestCloseCodes(t *testing.T) {
	sendable := func(c int) bool {
		switch {
		case c >= 1000 && c <= 1014:
			return c != 1004 && c != 1005 && c != 1006 // §7.4.1
		case c >= 3000 && c <= 4999: // §7.4.2
			return true
		}
		return false
	}
	for c := range 1 << 16 {
		payload := binary.BigEndian.AppendUint16(nil, uint16(c))
		got, _, err := ParseClose(payload)
		if sendable(c) != (err == nil) || err == nil && got != CloseCode(c) {
			t.Errorf("close code %d: %d, %v", c, got, err)
		}
		if wrote := len(AppendClose(nil, CloseCode(c), "")) > 0; wrote != sendable(c) {
			t.Errorf("close code %d written: %v", c, wrote)
		}
	}
}

func TestCloseRoundTrip(t *testing.T) {
	long := strings.Repeat("é", 100) // 200 bytes; 123 would cut a character
	for _, tt := range []struct {
		code       CloseCode
		reason     string
		wantCode   CloseCode
		wantReason string
	}{
		{CloseNormal, "", CloseNormal, ""},
		{CloseTooBig, "over 16 MiB", CloseTooBig, "over 16 MiB"},
		{4999, "café", 4999, "café"},
		{CloseNoStatus, "lost", CloseNoStatus, ""},
		{CloseAbnormal, "lost", CloseNoStatus, ""},
		{CloseInternal, "a\xffb", CloseInternal, "a\uFFFDb"},
		{CloseNormal, strings.Repeat("x", 123), CloseNormal, strings.Repeat("x", 123)},
		{CloseNormal, strings.Repeat("x", 124), CloseNormal, strings.Repeat("x", 123)},
		{CloseNormal, long, CloseNormal, long[:122]},
	} {
		b := AppendClose([]byte("x"), tt.code, tt.reason)
		if b[0] != 'x' || len(b)-1 > 125 {
			t.Errorf("%d %q is written as %q", tt.code, tt.reason, b)
		}
		code, reason, err := ParseClose(b[1:])
		if err != nil || code != tt.wantCode || reason != tt.wantReason {
			t.Errorf("%d %q came back as %d %q, %v", tt.code, tt.reason, code, reason, err)
		}
	}
}

func FuzzClose(f *testing.F) {
	f.Add([]byte{}, uint16(1000), "")
	f.Add([]byte{3}, uint16(1006), "gone")
	f.Add([]byte("\x03\xe8bye"), uint16(4999), strings.Repeat("é", 99)+"\xc3")
	f.Fuzz(func(t *testing.T, payload []byte, code uint16, reason string) {
		if c, s, err := ParseClose(payload); err == nil && c != CloseNoStatus {
			if !c.Sendable() || !utf8.ValidString(s) {
				t.Fatalf("%x read as %d %q", payload, c, s)
			}
			if len(payload) <= 125 && string(AppendClose(nil, c, s)) != string(payload) {
				t.Fatalf("%x read as %d %q, which is written otherwise", payload, c, s)
			}
		}
		b := AppendClose(nil, CloseCode(code), reason)
		if len(b) > 125 {
			t.Fatalf("a close of %d bytes", len(b))
		}
		if _, _, err := ParseClose(b); err != nil {
			t.Fatalf("wrote %x, which is refused: %v", b, err)
		}
	})
}

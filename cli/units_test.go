package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestAmounts(t *testing.T) {
	for text, want := range map[string]amount{"512MiB": 512 << 20, "1.5GiB": 3 << 29, "2g": 0, "2G": 2 << 30, "10MB": 10e6, "100 KiB": 100 << 10, "4096B": 4096,
		"": 0, "512": 0, "-1MiB": 0, "0MiB": 0, "NaNMiB": 0, "1e30TiB": 0, "MiB": 0} {
		got, err := parseBytes(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for n, want := range map[amount]string{0: "", 1: "1 B", 1023: "1.0 KiB", 1536: "1.5 KiB", 10 << 20: "10.0 MiB", 999 << 20: "999 MiB", 1000 << 20: "1.0 GiB", 1 << 40: "1.0 TiB", 5 << 50: "5120 TiB"} {
		if got := n.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(n), got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		400 * time.Millisecond: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m30s", 2 * time.Minute: "2m",
		3*time.Hour + 20*time.Minute: "3h20m", 51 * time.Hour: "2d3h",
	} {
		if got := age(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

// A colour does not count as width, a character of several bytes is one, and no line
// ends with spaces.
func TestTable(t *testing.T) {
	var b bytes.Buffer
	rows := [][]cell{
		{{text: "web"}, stateCell("running"), {text: "7", right: true}, {text: ""}},
		{{text: "web/1"}, stateCell("failed"), {text: "1234", right: true}, {text: "boom"}},
	}
	if err := table(&b, []string{"NAME", "STATE", "N", "LAST"}, rows); err != nil {
		t.Fatal(err)
	}
	want := "NAME    STATE          N   LAST\n" + "web     ● running      7\n" + "web/1   ✖ failed    1234   boom\n"
	if b.String() != want {
		t.Errorf("the table is\n%s\nwant\n%s", b.String(), want)
	}
}

// What a program said last cannot drive the terminal.
func TestOneLine(t *testing.T) {
	if got := oneLine("a\x1b[2Jb\nc\u009bd", 100); strings.ContainsAny(got, "\x1b\n\u009b") {
		t.Errorf("%q", got)
	}
	if got := oneLine("äöü…", 3); got != "äö…" {
		t.Errorf("%q", got)
	}
}

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/arbiter-go/arbiter/actor"
)

// asJSON reports whether the user wants JSON.
func (a *app) asJSON() bool { return a.format == "json" || a.format == "jsonl" }

// print writes v as JSON: indented, or on one line.
func (a *app) print(v any) error { return writeJSON(a.out, v, a.format != "jsonl") }

func writeJSON(w io.Writer, v any, indent bool) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if indent {
		e.SetIndent("", "  ")
	}
	err := e.Encode(v)
	var kind *json.UnsupportedTypeError
	var value *json.UnsupportedValueError
	if errors.As(err, &kind) || errors.As(err, &value) {
		return &problem{exit: exitFailed, code: "not-json", text: "the result has no image in JSON: " + err.Error(), err: err}
	}
	if err != nil {
		return err
	}
	_, err = w.Write(escapeControls(b.Bytes()))
	return err
}

// escapeControls returns JSON without the control characters that JSON leaves as they are, DEL
// and U+0080 to U+009F: to a terminal they mean something. They can only be in strings.
func escapeControls(b []byte) []byte {
	if !bytes.ContainsFunc(b, isLateControl) {
		return b
	}
	var out []byte
	for _, r := range string(b) {
		if isLateControl(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

func isLateControl(r rune) bool { return 0x7f <= r && r < 0xa0 }

// failure is an error as JSON.
type failure struct {
	Error struct {
		Code    string       `json:"code"`          // of the closed set, or one of the command line's own
		App     string       `json:"app,omitempty"` // with code "app": the handler's own code
		Message string       `json:"message"`
		Why     []string     `json:"why,omitempty"`
		Hints   []hint       `json:"hints,omitempty"`
		Target  string       `json:"target,omitempty"`
		Command string       `json:"command,omitempty"`
		Started string       `json:"started,omitempty"` // whether the handler had: "yes", "no", "unknown"
		Path    []string     `json:"path,omitempty"`
		Death   *actor.Death `json:"death,omitempty"`
		Exit    int          `json:"exit"`
	} `json:"error"`
}

// report says on standard error what went wrong.
func (a *app) report(p *problem) {
	switch {
	case p.text == "":
	case a.asJSON():
		_ = writeJSON(a.err, p.failure(), a.format == "json") // there is nowhere else to complain
	default:
		// Much of it others have said: it is not to move the cursor, or to look like hints of ours.
		quote := func(text string) string { return strings.ReplaceAll(inert(text), "\n", "\n    ") }
		fmt.Fprintf(a.err, "error: %s  [%s]\n", quote(p.text), oneLine(p.code, 100))
		for _, line := range p.why {
			fmt.Fprintf(a.err, "  %s\n", quote(line))
		}
		for _, h := range p.hints {
			fmt.Fprintf(a.err, "  %s:  %s\n", h.For, h.Type)
		}
	}
}

func (p *problem) failure() failure {
	var f failure
	f.Error.Code, f.Error.Message, f.Error.Why, f.Error.Hints, f.Error.Exit = p.code, p.text, p.why, p.hints, p.exit
	var down *actor.DownError
	if errors.As(p.err, &down) {
		f.Error.Death = &down.Death
	}
	var e *actor.Error
	if !errors.As(p.err, &e) {
		return f
	}
	f.Error.Target, f.Error.Command, f.Error.Path = e.Target, e.Command, e.Path
	if e.Code == actor.App {
		f.Error.Code, f.Error.App = string(e.Code), e.App
	}
	switch e.Started {
	case actor.StartedYes:
		f.Error.Started = "yes"
	case actor.StartedNo:
		f.Error.Started = "no"
	default:
		f.Error.Started = "unknown"
	}
	return f
}

// printEnd says how an actor ended.
func (a *app) printEnd(name string, d actor.Death) error {
	if a.asJSON() {
		return a.print(d)
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", name, oneLine(d.String(), 1000))
	return err
}

// isTerminal reports whether f is one that can do more than print lines.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

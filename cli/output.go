package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/arbiter-go/arbiter/actor"
)

func checkFormat(f string) error {
	switch f {
	case "table", "json", "jsonl", "name":
		return nil
	}
	return &usageError{fmt.Errorf("no output format is called %q: table, json, jsonl or name", f)}
}

// printJSON writes v, indented.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// failure is an error as JSON.
type failure struct {
	Error struct {
		Code    string   `json:"code"`
		Message string   `json:"message"`
		Target  string   `json:"target,omitempty"`
		Command string   `json:"command,omitempty"`
		Path    []string `json:"path,omitempty"`
		Exit    int      `json:"exit"`
	} `json:"error"`
}

// report says on standard error what went wrong.
func (a *app) report(err error, exit int) {
	var e *actor.Error
	code := ""
	var f failure
	if errors.As(err, &e) {
		code = string(e.Code)
		if e.App != "" {
			code = e.App
		}
		f.Error.Target, f.Error.Command, f.Error.Path = e.Target, e.Command, e.Path
	} else {
		code = map[int]string{exitUsage: "usage", exitNoArbiter: "no-arbiter", exitInterrupted: "interrupted", exitTimeout: "deadline"}[exit]
		if code == "" {
			code = "failed"
		}
	}
	if a.format == "json" || a.format == "jsonl" {
		f.Error.Code, f.Error.Message, f.Error.Exit = code, err.Error(), exit
		_ = printJSON(a.err, f)
		return
	}
	fmt.Fprintf(a.err, "error: %s  [%s]\n", err, code)
	if hint := hintFor(e); hint != "" {
		fmt.Fprintln(a.err, " ", hint)
	}
}

// hintFor says what to type next.
func hintFor(e *actor.Error) string {
	if e == nil {
		return ""
	}
	switch e.Code {
	case actor.UnknownActor:
		return "see who is there:  arbiter ps"
	case actor.UnknownCommand:
		return fmt.Sprintf("see what it answers:  arbiter call %s commands", e.Target)
	case actor.Deadline:
		return "to wait longer:  --timeout 2m"
	}
	return ""
}

// table writes rows in columns.
func table(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

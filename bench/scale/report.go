package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// figure is one number of a scene.
type figure struct {
	Name  string  `json:"figure"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Goal  float64 `json:"goal,omitempty"` // it is to be at most that; 0: there is no goal
}

// say notes a figure.
func (w *world) say(name string, value float64, unit string) {
	w.figures = append(w.figures, figure{Name: name, Value: value, Unit: unit})
}

// hold notes one that has a goal.
func (w *world) hold(name string, value float64, unit string, most float64) {
	w.figures = append(w.figures, figure{Name: name, Value: value, Unit: unit, Goal: most})
}

// sayCalls notes what became of calls.
func (w *world) sayCalls(of string, c calls) {
	w.say(of+": calls", float64(c.count()), "")
	for _, outcome := range c.outcomes() {
		if outcome != "value" {
			w.say(of+": "+outcome, float64(c.Outcomes[outcome]), "")
		}
	}
	w.say(of+": p50", c.P50.Seconds()*1e3, "ms")
	w.say(of+": p99", c.P99.Seconds()*1e3, "ms")
	w.say(of+": longest", c.Max.Seconds()*1e3, "ms")
}

// sayBeside notes how a witness fared, beside a quiet time.
func (w *world) sayBeside(now, quiet calls) {
	w.say("others: p99 when quiet", quiet.P99.Seconds()*1e3, "ms")
	w.say("others: p99 meanwhile", now.P99.Seconds()*1e3, "ms")
	w.hold("others: p99, times that when quiet", float64(now.P99)/float64(max(quiet.P99, 1)), "×", 2)
	w.say("others: longest call meanwhile", now.Max.Seconds()*1e3, "ms")
}

func system() string {
	return fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// write writes a scene's figures as a table in Markdown.
func write(out io.Writer, sc scene, figures []figure, err error) {
	fmt.Fprintf(out, "\n**%s** %s\n\n| | | |\n|---|---:|---|\n", sc.name, sc.about)
	for _, f := range figures {
		goal := ""
		if f.Goal != 0 {
			goal = fmt.Sprintf("goal ≤ %g: met", f.Goal)
			if f.Value > f.Goal {
				goal = fmt.Sprintf("goal ≤ %g: missed", f.Goal)
			}
		}
		value := number(f.Value)
		if f.Unit != "" {
			value += " " + f.Unit
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", f.Name, value, goal)
	}
	if err != nil {
		fmt.Fprintf(out, "\nfailed: %v\n", err)
	}
}

// number writes whole numbers whole, and others with three digits.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return fmt.Sprintf("%d", int64(v))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// writeJSON writes a line a figure.
func writeJSON(out *os.File, sc scene, figures []figure) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, f := range figures {
		line := struct {
			Scene string `json:"scene"`
			figure
			Met    *bool     `json:"met,omitempty"`
			System string    `json:"system"`
			Time   time.Time `json:"time"`
		}{Scene: sc.name, figure: f, System: system(), Time: time.Now().UTC().Truncate(time.Second)}
		if f.Goal != 0 {
			met := f.Value <= f.Goal
			line.Met = &met
		}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flag is the value of a flag: what parse makes of the text, kept in *at. It is a
// pflag.Value.
type flag[T any] struct {
	at    *T
	parse func(string) (T, error)
	kind  string
}

func (f *flag[T]) Set(text string) error {
	v, err := f.parse(text)
	if err == nil {
		*f.at = v
	}
	return err
}

func (f *flag[T]) String() string {
	if f.at == nil {
		return ""
	}
	return fmt.Sprint(*f.at)
}

func (f *flag[T]) Type() string { return f.kind }

// flagError says what is wrong with the flags of a command.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	p := usage("%v", err)
	var wrong *problem
	if errors.As(err, &wrong) { // what one of our parsers says is enough
		p.text = wrong.text
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, "--"+f.Name)
			}
		})
		name := "--" + unknown.GetSpecifiedName()
		p.text = fmt.Sprintf("there is no flag %q%s", name, didYouMean(name, names))
	}
	if strings.Contains(p.text, "shorthand") && strings.Contains(cmd.Use, "TARGET COMMAND [ARG") {
		p.hint("an argument that begins with a dash goes after --", cmd.CommandPath()+" TARGET COMMAND -- -5")
	}
	return p.hint("see the flags", cmd.CommandPath()+" --help")
}

func formats() []string { return []string{"table", "wide", "json", "jsonl", "name"} }

func parseFormat(text string) (string, error) {
	if slices.Contains(formats(), text) {
		return text, nil
	}
	return "", usage("no output format is called %q: table, wide, json, jsonl or name", text)
}

// formatIn finds the output format among arguments that may be wrong otherwise.
func formatIn(args []string) string {
	format := "table"
	for i, arg := range args {
		var v string
		switch {
		case arg == "--":
			return format
		case arg == "-o", arg == "--output":
			if i+1 < len(args) {
				v = args[i+1]
			}
		case strings.HasPrefix(arg, "--output="):
			v = arg[len("--output="):]
		case strings.HasPrefix(arg, "-o"):
			v = strings.TrimPrefix(arg[2:], "=")
		}
		if v, err := parseFormat(v); err == nil {
			format = v
		}
	}
	return format
}

// checkFormat refuses a format that the command has nothing for.
func (a *app) checkFormat(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("output") {
		a.format = "table" // what looked like one is for the program of run, or an argument
	}
	switch {
	case a.format == "name" && cmd.Annotations["names"] == "":
		return usage("%s has no names to print: table, json or jsonl", cmd.Name())
	case a.format == "wide" && cmd.Annotations["wide"] == "":
		return usage("%s has nothing more to print: table, json or jsonl", cmd.Name())
	}
	return nil
}

// longer returns a timeout worth trying after d was too short.
func longer(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return "30s"
	case d < time.Minute:
		return "2m"
	case d < 10*time.Minute:
		return "30m"
	}
	return fmt.Sprintf("%dh", 1+2*d/time.Hour)
}

// wholeNumber parses a number from least to most.
func wholeNumber(what string, least, most int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return 0, usage("%q %s: from %d to %d", text, what, least, most)
		}
		return n, nil
	}
}

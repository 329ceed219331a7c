package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// expectations are testdata/expected.json: of each topic what is to come of it.
type expectations []expectation

type expectation struct {
	Title string `json:"title"` // a heading of the page, instead of a topic
	Text  string `json:"text"`  // what stands below it

	Topic string `json:"topic"`
	Shown string `json:"shown"` // how the page calls it; default: the topic
	Rules []rule `json:"rules"` // the first that fits counts
	Each  []each `json:"each"`  // instead: topics with one outcome between any two
}

// each is a topic and its outcome.
type each [2]string

// rule says what is to come of it, between some of the parties. Parties are named as on
// the page, or "pulsar" for both, or "any"; and several with commas.
type rule struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Expect string `json:"expect"`
	Seen   string `json:"seen"` // what is seen instead: a limit that is known
	Why    string `json:"why"`  // and its reason; or a remark
}

// outcome is what must be seen.
func (r rule) outcome() string {
	if r.Seen != "" {
		return r.Seen
	}
	return r.Expect
}

func (r rule) fits(from, to string) bool { return names(r.From, from) && names(r.To, to) }

func names(list, party string) bool {
	return slices.ContainsFunc(strings.Split(list, ", "), func(name string) bool {
		return name == "any" || name == party || name == "pulsar" && strings.HasPrefix(party, "pulsar")
	})
}

func (list expectations) rule(topic, from, to string) rule {
	for _, e := range list {
		for _, one := range e.Each {
			if one[0] == topic {
				return rule{From: "any", To: "any", Expect: one[1]}
			}
		}
		if e.Topic != topic {
			continue
		}
		for _, r := range e.Rules {
			if r.fits(from, to) {
				return r
			}
		}
	}
	return rule{Expect: "testdata/expected.json does not say"}
}

func readExpected(t *testing.T) (list expectations) {
	t.Helper()
	readJSON(t, "testdata/expected.json", &list)
	return list
}

// readSeen returns what was seen, by pair and topic.
func readSeen(t *testing.T) map[string]map[string]string {
	t.Helper()
	seen := map[string]map[string]string{}
	readJSON(t, seenFile, &seen)
	return seen
}

const (
	same     = "the same" // of what is too long to be written down
	seenFile = "testdata/seen.json"
	pageFile = "../../docs/interop.md"
)

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// keep writes the page and what it is made of, or compares them with what is there.
func keep(t *testing.T, expected expectations, seen map[string]map[string]string) {
	t.Helper()
	var data bytes.Buffer
	e := json.NewEncoder(&data)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(seen); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{seenFile: data.String(), pageFile: page(expected, seen)} {
		if *updateDocs {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Error(err)
			}
			continue
		}
		there, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if string(there) != text {
			t.Errorf("%s is out of date: go test ./sdk/interop -update-docs", path)
		}
	}
}

// page is docs/interop.md.
func page(expected expectations, seen map[string]map[string]string) string {
	var b strings.Builder
	table := false
	for _, e := range expected {
		if e.Title != "" {
			if table {
				b.WriteString("\n")
			}
			table = false
			fmt.Fprintf(&b, "%s\n\n", e.Title)
			if e.Text != "" {
				fmt.Fprintf(&b, "%s\n\n", strings.ReplaceAll(e.Text, "{summary}", summary(expected, seen)))
			}
			continue
		}
		if !table {
			b.WriteString("| | from | to | expected | seen |\n|---|---|---|---|---|\n")
			table = true
		}
		shown := e.Shown
		if e.Each != nil {
			fmt.Fprintf(&b, "| %s | any | any | %s | %s |\n", shown, e.outcomes(), e.found(seen))
			continue
		}
		if shown == "" {
			shown = e.Topic
		}
		for i, r := range e.Rules {
			if i > 0 {
				shown = ""
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", shown, r.From, r.To, cell(r.Expect), e.foundBy(i, seen))
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// outcomes are those of each topic, one after the other.
func (e expectation) outcomes() string {
	var list []string
	for _, one := range e.Each {
		if text := cell(one[1]); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, ", ")
}

// found is what was seen of each topic.
func (e expectation) found(seen map[string]map[string]string) string {
	as, others := 0, []string{}
	for _, from := range parties {
		for _, to := range parties {
			pair := from.name + " → " + to.name
			for _, one := range e.Each {
				if got, ok := seen[pair][one[0]]; ok && got != one[1] {
					others = append(others, pair+": "+cell(got))
				} else if ok {
					as++
				}
			}
		}
	}
	return strings.Join(append([]string{fmt.Sprintf("%s (%d)", same, as)}, others...), "<br>")
}

// foundBy is what was seen where a rule counts.
func (e expectation) foundBy(i int, seen map[string]map[string]string) string {
	r := e.Rules[i]
	as, others := 0, []string{}
	for _, from := range parties {
		for _, to := range parties {
			pair := from.name + " → " + to.name
			got, ok := seen[pair][e.Topic]
			if !ok || slices.IndexFunc(e.Rules, func(r rule) bool { return r.fits(from.name, to.name) }) != i {
				continue
			}
			if got == r.outcome() {
				as++
			} else {
				others = append(others, pair+": "+cell(got))
			}
		}
	}
	text := same
	if r.Seen != "" {
		text = "**" + cell(r.Seen) + "**"
	}
	if as == 0 {
		text = "–"
	} else {
		text += fmt.Sprintf(" (%d)", as)
	}
	if r.Why != "" {
		text += ": " + r.Why
	}
	return strings.Join(append([]string{text}, others...), "<br>")
}

// cell is a text of the notation in a table of Markdown.
func cell(text string) string {
	if text == same {
		return text
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// summary is a table of all pairs: how much came as it was to.
func summary(expected expectations, seen map[string]map[string]string) string {
	var b strings.Builder
	b.WriteString("| from ↓ to → |")
	for _, to := range parties {
		b.WriteString(" " + to.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(parties)) + "\n")
	for _, from := range parties {
		b.WriteString("| " + from.name + " |")
		for _, to := range parties {
			as, limits, others := 0, 0, 0
			for topic, got := range seen[from.name+" → "+to.name] {
				switch r := expected.rule(topic, from.name, to.name); {
				case got == r.Expect:
					as++
				case got == r.Seen:
					limits++
				default:
					others++
				}
			}
			fmt.Fprintf(&b, " %d", as)
			if limits > 0 {
				fmt.Fprintf(&b, " and %d ¹", limits)
			}
			if others > 0 {
				fmt.Fprintf(&b, ", **%d wrong**", others)
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// TestRules: every rule counts somewhere, so none says what nobody does any more, and
// what is said to be a limit differs from what is expected.
func TestRules(t *testing.T) {
	expected, seen := readExpected(t), readSeen(t)
	for _, e := range expected {
		for i, r := range e.Rules {
			if strings.HasPrefix(e.foundBy(i, seen), "–") {
				t.Errorf("%s, from %s to %s: it never counts", e.Topic, r.From, r.To)
			}
			if r.Seen == r.Expect || r.Seen != "" && r.Why == "" {
				t.Errorf("%s, from %s to %s: no limit, or no reason of it", e.Topic, r.From, r.To)
			}
		}
		if e.Each != nil && strings.Contains(e.found(seen), "(0)") {
			t.Errorf("%s: nobody does it", e.Shown)
		}
	}
}

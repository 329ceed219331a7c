package arbiter_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// tree is what the pages are held to: the names of all files, with slashes, and which
// tests, benchmarks and fuzz targets there are.
type tree struct {
	pages []string
	files map[string]bool // and directories
	tests map[string]bool
}

var (
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	testName = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w+`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```$")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fileName = regexp.MustCompile("`([\\w./-]+\\.(?:go|py|mjs|ts|pl|html|json|md|patch))`")
	// A file and what is in it, as "`internal/peer/flush.go` `Conn.Flush`" or "`Calls` (`calls.go`)".
	fileAndName = regexp.MustCompile("`([\\w/]+\\.go)`\\s+`(?:\\w+\\.)?(\\w+)`")
	nameAndFile = regexp.MustCompile("`(?:\\w+\\.)?(\\w+)`\\s+\\(`([\\w/]+\\.go)`\\)")
)

// theirs are files that a page speaks of and that are its reader's own.
var theirs = map[string][]string{
	"docs/pulsar.md": {"child.py"},
}

func readTree(t *testing.T) tree {
	t.Helper()
	all := tree{files: make(map[string]bool), tests: make(map[string]bool)}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		name = filepath.ToSlash(name)
		all.files[name] = true
		switch {
		case d.IsDir():
		case strings.HasSuffix(name, ".md") && !strings.Contains(name, "testdata/"):
			all.pages = append(all.pages, name)
		case strings.HasSuffix(name, "_test.go"):
			source, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for _, m := range testFunc.FindAllSubmatch(source, -1) {
				all.tests[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// find returns the file that a page calls name: by its whole path, seen from the page
// or from the root, by the end of its path, or by its last part alone.
func (all tree) find(page, name string) []string {
	for _, whole := range []string{path.Join(path.Dir(page), name), path.Clean(name)} {
		if all.files[whole] {
			return []string{whole}
		}
	}
	var found []string
	for f := range all.files {
		if strings.HasSuffix(f, "/"+name) {
			found = append(found, f)
		}
	}
	return found
}

// anchors are those that a page's headings have where it is shown: in lower case, a
// hyphen for each space, and no punctuation.
func anchors(page string) []string {
	var list []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		list = append(list, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f:
				return r
			}
			return -1
		}, strings.ToLower(strings.TrimSpace(m[1]))))
	}
	return list
}

// TestPages: what a page links to is there, and so are the files, what is said to be
// in them, and the tests that it names.
func TestPages(t *testing.T) {
	all := readTree(t)
	if len(all.pages) < 20 || len(all.tests) < 100 {
		t.Fatalf("%d pages and %d tests: they were not looked for where they are", len(all.pages), len(all.tests))
	}
	links, names, within := 0, 0, 0
	for _, page := range all.pages {
		source, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(source)
		prose := fenced.ReplaceAllString(text, "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			links++
			file := page
			if to != "" {
				file = path.Join(path.Dir(page), to)
			}
			if !all.files[file] {
				t.Errorf("%s links to %s, which is not there", page, m[1])
				continue
			}
			if anchor == "" {
				continue
			}
			target, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			} else if !slices.Contains(anchors(string(target)), anchor) {
				t.Errorf("%s links to %s, and %s has no such heading", page, m[1], file)
			}
		}
		for _, m := range fileName.FindAllStringSubmatch(prose, -1) {
			names++
			if len(all.find(page, m[1])) == 0 && !slices.Contains(theirs[page], m[1]) {
				t.Errorf("%s speaks of the file %s, which is not there", page, m[1])
			}
		}
		var pairs [][2]string
		for _, m := range fileAndName.FindAllStringSubmatch(prose, -1) {
			pairs = append(pairs, [2]string{m[1], m[2]})
		}
		for _, m := range nameAndFile.FindAllStringSubmatch(prose, -1) {
			pairs = append(pairs, [2]string{m[2], m[1]})
		}
		for _, p := range pairs {
			within++
			file, name := p[0], p[1]
			declares := regexp.MustCompile(`(?m)^(?:func (?:\([^)]*\) )?|type |var |const |\t)` + name + `\b`)
			if !slices.ContainsFunc(all.find(page, file), func(f string) bool {
				source, err := os.ReadFile(f)
				return err == nil && declares.Match(source)
			}) {
				t.Errorf("%s says that %s is in %s, where it is not", page, name, file)
			}
		}
		for _, name := range testName.FindAllString(text, -1) {
			names++
			if !all.tests[name] {
				t.Errorf("%s names %s, and there is no such test", page, name)
			}
		}
	}
	if links < 40 || names < 100 || within < 10 {
		t.Errorf("the pages have %d links, %d names of files and tests, and say %d times what is in a file: fewer than there were", links, names, within)
	}
}

// TestPackageComments: each package says what it is.
func TestPackageComments(t *testing.T) {
	said := make(map[string]bool)
	for file := range readTree(t).files {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		dir := path.Dir(file)
		said[dir] = said[dir] || f.Doc != nil
	}
	if len(said) < 20 {
		t.Fatalf("%d packages: they were not looked for where they are", len(said))
	}
	for dir, is := range said {
		if !is {
			t.Errorf("the package in %s has no comment that says what it is", dir)
		}
	}
}

// TestPageOfTheArbiter: docs/json.md names every command that only the arbiter answers, and every field of
// what they take.
func TestPageOfTheArbiter(t *testing.T) {
	page, err := os.ReadFile("docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What the arbiter answers\n")
	section, _, _ = strings.Cut(section, "\n## ")
	names := map[string]bool{}
	for _, of := range []any{actor.SpawnArgs{}, actor.PoolArgs{}, actor.Bounds{}, actor.Recycle{}, actor.ScaleArgs{}, actor.EventsArgs{}, actor.LogsArgs{}, supervise.Policy{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names[name] = true
		}
	}
	w := quietWorld(t)
	commands, err := actor.ListCommands.Call(w.ctx, actor.Arbiter, actor.None{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		switch c.Name {
		case "ping", "echo", "info", "config", "run", "stop", "commands", "notify": // of every actor
		default:
			names[c.Name] = true
		}
	}
	for name := range names {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("it does not name `%s`", name)
		}
	}
}

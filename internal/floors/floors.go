// Package floors holds the one test every package runs: its imports point down.
//
// The packages of this module stand on floors (docs/architecture.md draws them).
// A package imports only packages of lower floors, and few from outside the
// module. Each package says in its own floors_test.go what it may import; a new
// import is then a decision somebody sees, not an accident.
package floors

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Module is the path of this module.
const Module = "github.com/arbiter-go/arbiter"

// Check fails t if a non-test file of the package in the current directory, for
// any operating system, imports something other than the standard library and
// the packages in allowed. A package of this module is named without the module
// path ("internal/wire"); the root package is ".".
func Check(t *testing.T, allowed ...string) {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range files {
		name := f.Name()
		if f.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		seen++
		ast, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !permitted(path, allowed) {
				t.Errorf("%s imports %s, which is not below this package's floor (allowed: %s)", name, path, strings.Join(allowed, ", "))
			}
		}
	}
	if seen == 0 {
		t.Fatal("no Go files here: run the test in the package's own directory")
	}
}

func permitted(path string, allowed []string) bool {
	if path == Module {
		return slices.Contains(allowed, ".")
	}
	if local, ok := strings.CutPrefix(path, Module+"/"); ok {
		return slices.Contains(allowed, local)
	}
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(allowed, func(a string) bool { return path == a || strings.HasPrefix(path, a+"/") })
}

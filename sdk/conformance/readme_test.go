package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// TestReadmes runs the worker that each README shows, as a reader would: next to a
// copy of the one file.
func TestReadmes(t *testing.T) {
	ctx := start(t)
	for _, sdk := range []struct{ dir, language, file, run, worker string }{
		{"../python", "python", "arbiter.py", python(), "worker.py"},
		{"../node", "js", "arbiter.mjs", "node", "worker.mjs"},
	} {
		t.Run(sdk.language, func(t *testing.T) {
			worker{run: []string{sdk.run}}.need(t)
			readme, err := os.ReadFile(filepath.Join(sdk.dir, "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			block := regexp.MustCompile("(?s)```" + sdk.language + "\n(.*?)```").FindSubmatch(readme)
			if block == nil {
				t.Fatalf("no block of %s in the README", sdk.language)
			}
			if n := strings.Count(string(block[1]), "\n"); n > 20 {
				t.Errorf("a worker takes %d lines; it is to be at most 20", n)
			}
			file, err := os.ReadFile(filepath.Join(sdk.dir, sdk.file))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for name, data := range map[string][]byte{sdk.file: file, sdk.worker: block[1]} {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ref := spawn(t, ctx, map[string]any{"run": []string{sdk.run, filepath.Join(dir, sdk.worker)}})
			if n, err := actor.Call[int](ctx, ref, "add", 2, actor.Kwargs{"b": 3}); n != 5 || err != nil {
				t.Errorf("add: %d, %v", n, err)
			}
			if b, err := actor.Call[[]byte](ctx, ref, "shrink", []byte("abcdef"), 3); string(b) != "abc" || err != nil {
				t.Errorf("shrink: %q, %v", b, err)
			}
			if _, err := actor.Call[[]byte](ctx, ref, "shrink", "abcdef", 3); err == nil || !strings.Contains(err.Error(), `"image"`) {
				t.Errorf("an argument that does not fit: %v", err)
			}
		})
	}
}

// TestAnotherLanguage: the worker that docs/another-language.md shows is the one that
// is run.
func TestAnotherLanguage(t *testing.T) {
	page, err := os.ReadFile("../../docs/another-language.md")
	if err != nil {
		t.Fatal(err)
	}
	worker, err := os.ReadFile("../perl/worker.pl")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```perl\n"+string(worker)+"```\n") {
		t.Error("the worker of docs/another-language.md is not sdk/perl/worker.pl")
	}
}

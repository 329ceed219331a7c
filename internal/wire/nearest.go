package wire

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// Nearest returns the name among those given that is nearest to name, for a "did
// you mean", or "" if none is near: at most 2 edits away, 1 where name has no more
// than three characters, or a third of the length of name if that is more. An edit inserts, removes or changes a
// character, or swaps two neighbours; case does not count. Of several equally
// near the first in the alphabet is returned, so the answer is always the same.
func Nearest(name string, among iter.Seq[string]) string {
	if len(name) > MaxCommandName {
		return "" // nobody's slip of the finger
	}
	want := []rune(strings.ToLower(name))
	limit := max(2, len(want)/3)
	if len(want) <= 3 {
		limit = 1 // two edits of three letters are another word: stop is not hop
	}
	best, found := limit+1, ""
	for candidate := range among {
		if candidate == "" || candidate == name || len(candidate) > MaxCommandName {
			continue
		}
		if d := utf8.RuneCountInString(candidate) - len(want); d > best || -d > best {
			continue
		}
		d := edits(want, []rune(strings.ToLower(candidate)))
		if d < best || d == best && d <= limit && candidate < found {
			best, found = d, candidate
		}
	}
	return found
}

// edits returns the optimal string alignment distance of a and b: Levenshtein's
// with swaps of neighbours.
func edits(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

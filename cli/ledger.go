package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ledger is the account of the tiles: which are due, and how often each came. It
// takes nobody's word for that a tile is done; what it has not seen is missing.
// What is complete it keeps as a number, so it does not grow with time.
type ledger struct {
	open    map[int]*page // of frames that are not complete
	next    int           // frames from here on were never begun
	balance balance
	twice   map[spot]int // how often those came again that had come, or were not due
	workers map[string]int
}

// page is the account of one frame.
type page struct {
	came []bool // of each tile
	left int    // those that have not
}

// spot is a tile's place in the zoom.
type spot struct {
	Frame int `cbor:"frame" json:"frame"`
	Tile  int `cbor:"tile" json:"tile"`
}

// balance is what a ledger comes to.
type balance struct {
	Frames   int            `cbor:"frames"`   // that were begun
	Complete int            `cbor:"complete"` // of which every tile came
	Tiles    int            `cbor:"tiles"`    // that were due
	Came     int            `cbor:"came"`     // of these
	Missing  []spot         `cbor:"missing"`  // the others
	Twice    []spot         `cbor:"twice"`    // those that came more than once, or were not due; at most maxTwice
	Workers  map[string]int `cbor:"workers"`  // how many tiles came from whom
}

// maxTwice bounds what a ledger remembers of tiles that came more than once. One is
// enough to be wrong.
const maxTwice = 1000

func newLedger() *ledger {
	return &ledger{open: map[int]*page{}, twice: map[spot]int{}, workers: map[string]int{}}
}

// begin notes that frame n, of so many tiles, is due. Frames begin in order.
func (l *ledger) begin(n, tiles int) error {
	if n != l.next || tiles < 1 {
		return fmt.Errorf("frame %d of %d tiles begins where frame %d is next", n, tiles, l.next)
	}
	l.next++
	l.open[n] = &page{make([]bool, tiles), tiles}
	l.balance.Frames++
	l.balance.Tiles += tiles
	return nil
}

// came notes that a tile came from a worker. first: it is to be put in its place;
// complete: and was the last of its frame.
func (l *ledger) came(at spot, by string) (first, complete bool) {
	l.workers[by]++
	p := l.open[at.Frame] // nil: it is complete
	if p == nil || at.Tile < 0 || at.Tile >= len(p.came) || p.came[at.Tile] {
		if len(l.twice) < maxTwice {
			l.twice[at]++
		}
		return false, false
	}
	p.came[at.Tile] = true
	p.left--
	l.balance.Came++
	if p.left > 0 {
		return true, false
	}
	delete(l.open, at.Frame)
	l.balance.Complete++
	return true, true
}

// sum returns what l comes to now.
func (l *ledger) sum() balance {
	b := l.balance
	for frame, p := range l.open {
		for n, came := range p.came {
			if !came {
				b.Missing = append(b.Missing, spot{frame, n})
			}
		}
	}
	b.Twice = slices.Collect(maps.Keys(l.twice))
	for _, list := range [][]spot{b.Missing, b.Twice} {
		slices.SortFunc(list, func(x, y spot) int { return cmp.Or(cmp.Compare(x.Frame, y.Frame), cmp.Compare(x.Tile, y.Tile)) })
	}
	b.Workers = maps.Clone(l.workers)
	return b
}

// check returns what is wrong with b: every tile is to come once.
func (b balance) check() error {
	var wrong []string
	if len(b.Missing) > 0 {
		wrong = append(wrong, fmt.Sprintf("%s never came (%s)", count(len(b.Missing), "tile"), spots(b.Missing)))
	}
	if len(b.Twice) > 0 {
		wrong = append(wrong, fmt.Sprintf("%s came more often than %s due (%s)", count(len(b.Twice), "tile"), isOrAre(len(b.Twice)), spots(b.Twice)))
	}
	if len(wrong) == 0 && b.Came != b.Tiles {
		wrong = append(wrong, fmt.Sprintf("only %d came", b.Came)) // a mistake of the ledger's own
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("the ledger is not balanced: of %s %s", count(b.Tiles, "tile"), strings.Join(wrong, ", and "))
}

// spots lists where tiles belong: "frame 3: 0 7; frame 4: 1".
func spots(list []spot) string {
	var b strings.Builder
	for i, s := range list {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "frame %d:", s.Frame)
		case s.Frame != list[i-1].Frame:
			fmt.Fprintf(&b, "; frame %d:", s.Frame)
		}
		fmt.Fprintf(&b, " %d", s.Tile)
	}
	return b.String()
}

func isOrAre(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

package cli

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// Tiles cover the picture, each pixel once.
func TestTiles(t *testing.T) {
	v := size{150, 70}.frame(3)
	seen := make(map[[2]int]int)
	for n, tl := range v.tiles(3, 64) {
		if tl.N != n || tl.Frame != 3 {
			t.Errorf("tile %d is %v", n, tl)
		}
		for y := range tl.H {
			for x := range tl.W {
				seen[[2]int{tl.X + x, tl.Y + y}]++
			}
		}
	}
	if len(seen) != 150*70 {
		t.Errorf("%d pixels are covered, want %d", len(seen), 150*70)
	}
	for at, n := range seen {
		if n != 1 || at[0] >= 150 || at[1] >= 70 {
			t.Errorf("pixel %v is covered %d times", at, n)
		}
	}
}

// What is known of the set: its middle never escapes, what is far off does at once.
func TestRender(t *testing.T) {
	v := view{Span: 2, Width: 2, Height: 2, Limit: 100} // pixels at -1 and 0
	for _, test := range []struct {
		x, y    int
		escapes bool
	}{{1, 1, false}, {0, 1, false}, {2, 2, true}, {5, 5, true}} {
		if got := v.steps(test.x, test.y) != 0; got != test.escapes {
			t.Errorf("the point of pixel %d,%d escapes: %v, want %v", test.x, test.y, got, test.escapes)
		}
	}
	if c := palette(0); c.R|c.G|c.B != 0 {
		t.Errorf("what never escapes is %v, want black", c)
	}
	for n := range places() {
		for _, frame := range []int{n * dive, (n+1)*dive - 1} {
			if v := (size{640, 400}).frame(frame); v.Limit > maxLimit || v.Span <= 0 {
				t.Errorf("frame %d is %+v, which no renderer takes", frame, v)
			}
		}
	}
}

// What cannot be meant is refused, whoever asks.
func TestBadTiles(t *testing.T) {
	good := size{64, 64}.frame(0).tiles(0, 64)[0]
	for name, change := range map[string]func(*tile){
		"no pixels":  func(t *tile) { t.W = 0 },
		"too many":   func(t *tile) { t.W, t.H = math.MaxInt, math.MaxInt },
		"no view":    func(t *tile) { t.View.Width = 0 },
		"no limit":   func(t *tile) { t.View.Limit = maxLimit + 1 },
		"back limit": func(t *tile) { t.View.Limit = -1 },
	} {
		bad := good
		change(&bad)
		if _, err := bad.render(t.Context()); !errors.Is(err, actor.NewError("bad_tile", "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := good.render(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a tile nobody waits for: %v", err)
	}
}

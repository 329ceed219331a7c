package cli

import (
	"bytes"
	"errors"
	"image/color"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// filled is a canvas with a frame that is complete, in one colour.
func filled(t *testing.T, s size, c color.RGBA) *canvas {
	t.Helper()
	canvas := &canvas{ledger: newLedger(), open: map[int]*sheet{}}
	addFrame(t, canvas, 0, s, c)
	return canvas
}

func addFrame(t *testing.T, on *canvas, n int, s size, c color.RGBA) {
	t.Helper()
	v := s.frame(n)
	if err := on.begin(t.Context(), opening{n, v}); err != nil {
		t.Fatal(err)
	}
	tiles := v.tiles(n, tileSide)
	for i, tl := range tiles {
		complete, err := on.put(t.Context(), placed{tl, pixels{RGB: bytes.Repeat([]byte{c.R, c.G, c.B}, tl.W*tl.H)}, "render/1"})
		if err != nil || complete != (i == len(tiles)-1) {
			t.Fatalf("tile %d of %d: %v, %v", i, len(tiles), complete, err)
		}
	}
}

// A canvas takes each tile once, where it belongs, and shows what is complete.
func TestCanvas(t *testing.T) {
	s := size{100, 70}
	c := &canvas{ledger: newLedger(), open: map[int]*sheet{}}
	if _, err := c.look(t.Context(), lookArgs{10, 10, "plain"}); !errors.Is(err, noPicture()) {
		t.Errorf("a look at nothing: %v", err)
	}
	if err := c.save(t.Context(), t.TempDir()+"/none.png"); !errors.Is(err, noPicture()) {
		t.Errorf("nothing was saved: %v", err)
	}
	addFrame(t, c, 0, s, color.RGBA{R: 9})
	again := s.frame(0).tiles(0, tileSide)[1]
	if _, err := c.put(t.Context(), placed{again, pixels{RGB: make([]byte, 3*again.W*again.H)}, "render/2"}); !errors.Is(err, actor.NewError("twice", "")) {
		t.Errorf("a tile that had come: %v", err)
	}
	if got := c.latest.image.RGBAAt(99, 0); got.R != 9 {
		t.Errorf("a tile that had come was painted over: %v", got)
	}
	if err := c.begin(t.Context(), opening{1, s.frame(1)}); err != nil {
		t.Fatal(err)
	}
	strange := s.frame(1).tiles(1, tileSide)[0]
	strange.W--
	if _, err := c.put(t.Context(), placed{strange, pixels{RGB: make([]byte, 3*strange.W*strange.H)}, "render/1"}); !errors.Is(err, actor.NewError("bad_tile", "")) {
		t.Errorf("a tile that does not belong there: %v", err)
	}
	b, err := c.report(t.Context(), actor.None{})
	if err != nil || len(b.Twice) != 1 || b.Frames != 2 || b.Complete != 1 || len(b.Missing) != 4 {
		t.Errorf("the ledger says %+v, %v", b, err)
	}
}

// Frames that become complete out of order: the latest is shown.
func TestCanvasShowsTheLatest(t *testing.T) {
	s := size{30, 30}
	c := &canvas{ledger: newLedger(), open: map[int]*sheet{}}
	for n := range 2 {
		if err := c.begin(t.Context(), opening{n, s.frame(n)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{1, 0} {
		tl := s.frame(n).tiles(n, tileSide)[0]
		if _, err := c.put(t.Context(), placed{tl, pixels{RGB: make([]byte, 3*30*30)}, "a"}); err != nil {
			t.Fatal(err)
		}
		if c.latest == nil || c.latest.frame != 1 {
			t.Errorf("after frame %d another than frame 1 is shown", n)
		}
	}
	if len(c.open) != 0 {
		t.Errorf("%d frames are open", len(c.open))
	}
}

func TestLook(t *testing.T) {
	white := color.RGBA{R: 255, G: 255, B: 255, A: 255}
	c := filled(t, size{160, 100}, white)
	for _, test := range []struct {
		args    lookArgs
		columns int
		rows    int
		line    string
	}{
		{lookArgs{4, 100, "plain"}, 4, 1, "@@@@"},
		{lookArgs{100, 1, "plain"}, 3, 1, "@@@"},
		{lookArgs{32, 32, "plain"}, 32, 10, ""},
		{lookArgs{1000, 1000, "plain"}, 1000, 312, ""},
		{lookArgs{1, 1, "plain"}, 1, 1, "@"},
		{lookArgs{2, 9, "256"}, 2, 1, "\x1b[38;5;231m\x1b[48;5;231m▀▀\x1b[0m"},
		{lookArgs{2, 9, "full"}, 2, 1, "\x1b[38;2;255;255;255m\x1b[48;2;255;255;255m▀▀\x1b[0m"},
	} {
		p, err := c.look(t.Context(), test.args)
		if err != nil {
			t.Fatal(err)
		}
		if p.Columns != test.columns || len(p.Lines) != test.rows || width(p.Lines[0]) != test.columns || test.line != "" && p.Lines[0] != test.line {
			t.Errorf("%+v: %d columns, %d rows, the first %q; want %d, %d, %q", test.args, p.Columns, len(p.Lines), p.Lines[0], test.columns, test.rows, test.line)
		}
	}
	for _, args := range []lookArgs{{0, 1, "plain"}, {1, 0, "plain"}, {maxColumns + 1, 1, "plain"}, {-1, -1, "full"}} {
		if _, err := c.look(t.Context(), args); !errors.Is(err, actor.NewError("bad_size", "")) {
			t.Errorf("%+v: %v", args, err)
		}
	}
}

// The 256 colours of terminals: those they have are found exactly.
func TestColour256(t *testing.T) {
	for want, c := range map[int]color.RGBA{
		16: {}, 231: {R: 255, G: 255, B: 255}, 196: {R: 255}, 46: {G: 255}, 21: {B: 255},
		67: {R: 95, G: 135, B: 175}, 244: {R: 128, G: 128, B: 128}, 232: {R: 8, G: 8, B: 8}, 255: {R: 238, G: 238, B: 238},
	} {
		if got := colour256(c); got != want {
			t.Errorf("%v is colour %d, want %d", c, got, want)
		}
	}
}

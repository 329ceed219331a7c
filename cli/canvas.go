package cli

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"slices"

	"github.com/arbiter-go/arbiter/actor"
)

// The commands of a canvas.
var (
	begin  = actor.NewCommand[view, actor.None]("begin", actor.Doc("starts a picture"))
	put    = actor.NewCommand[placed, actor.None]("put", actor.Doc("puts a tile in its place"))
	report = actor.NewCommand[actor.None, ledger]("ledger", actor.Doc("says which tiles came how often"))
	save   = actor.NewCommand[string, actor.None]("save", actor.Doc("writes the picture as PNG"))
	look   = actor.NewCommand[int, []string]("look", actor.Doc("the picture in half blocks, so many columns wide"))
)

// placed is a rendered tile and where it belongs.
type placed struct {
	Tile   tile   `cbor:"tile"`
	Pixels pixels `cbor:"pixels"`
	By     string `cbor:"by"`
}

// ledger is the account of what a canvas was given.
type ledger struct {
	Tiles   int            `cbor:"tiles"`   // that the picture has
	Came    []int          `cbor:"came"`    // how often each did
	Workers map[string]int `cbor:"workers"` // how many came from whom
}

// check returns what is wrong with l: every tile is to come once.
func (l ledger) check() error {
	var missing, twice []int
	for n := range l.Tiles {
		switch {
		case n >= len(l.Came) || l.Came[n] == 0:
			missing = append(missing, n)
		case l.Came[n] > 1:
			twice = append(twice, n)
		}
	}
	if len(missing)+len(twice) == 0 {
		return nil
	}
	return fmt.Errorf("the ledger is wrong: of %d tiles %d never came %v, %d came more than once %v", l.Tiles, len(missing), missing, len(twice), twice)
}

// canvas assembles a picture. It is the state of one actor.
type canvas struct {
	image  *image.RGBA
	ledger ledger
}

// painter is the kind of a canvas.
var painter = &actor.Kind[*canvas]{
	Name: "canvas",
	Doc:  "assembles a picture from tiles, and keeps the ledger",
	New:  func(context.Context) (*canvas, error) { return &canvas{}, nil },
	Handlers: []actor.Handler[*canvas]{
		actor.On(begin, (*canvas).begin), actor.On(put, (*canvas).put), actor.Handle(report, (*canvas).report),
		actor.On(save, (*canvas).save), actor.Handle(look, (*canvas).look),
	},
}

const tileSide = 64

func (c *canvas) begin(_ context.Context, v view) error {
	c.image = image.NewRGBA(image.Rect(0, 0, v.Width, v.Height))
	n := len(v.tiles(tileSide))
	c.ledger = ledger{Tiles: n, Came: make([]int, n), Workers: map[string]int{}}
	return nil
}

func (c *canvas) put(_ context.Context, p placed) error {
	t := p.Tile
	if c.image == nil || t.N < 0 || t.N >= c.ledger.Tiles || p.Pixels.N != t.N || len(p.Pixels.RGB) != 3*t.W*t.H {
		return actor.NewError("bad_tile", fmt.Sprintf("tile %d does not belong to this picture", t.N))
	}
	c.ledger.Came[t.N]++
	c.ledger.Workers[p.By]++
	rgb := p.Pixels.RGB
	for y := range t.H {
		for x := range t.W {
			c.image.SetRGBA(t.X+x, t.Y+y, color.RGBA{R: rgb[0], G: rgb[1], B: rgb[2], A: 255})
			rgb = rgb[3:]
		}
	}
	return nil
}

func (c *canvas) report(context.Context, actor.None) (ledger, error) {
	l := c.ledger
	l.Came = slices.Clone(l.Came)
	return l, nil
}

func (c *canvas) save(_ context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(f, c.image); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// look draws the picture with two pixels a character: the upper half block in one
// colour on a ground of the other.
func (c *canvas) look(_ context.Context, columns int) ([]string, error) {
	b := c.image.Bounds()
	rows := max(columns*b.Dy()/b.Dx()/2, 1)
	sample := func(col, row int) color.RGBA {
		x := min(col*b.Dx()/columns+b.Dx()/columns/2, b.Dx()-1)
		y := min(row*b.Dy()/(2*rows)+b.Dy()/(4*rows), b.Dy()-1)
		return c.image.RGBAAt(x, y)
	}
	var lines []string
	for row := range rows {
		line := make([]byte, 0, columns*40)
		for col := range columns {
			u, d := sample(col, 2*row), sample(col, 2*row+1)
			line = fmt.Appendf(line, "\x1b[38;2;%d;%d;%dm\x1b[48;2;%d;%d;%dm▀", u.R, u.G, u.B, d.R, d.G, d.B)
		}
		lines = append(lines, string(append(line, "\x1b[0m"...)))
	}
	return lines, nil
}

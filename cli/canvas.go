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
	look   = actor.NewCommand[lookArgs, []string]("look", actor.Doc("the picture as lines of text"))
)

// placed is a rendered tile and where it belongs.
type placed struct {
	Tile   tile   `cbor:"tile"`
	Pixels pixels `cbor:"pixels"`
	By     string `cbor:"by"`
}

// lookArgs say how a picture is to be shown as text.
type lookArgs struct {
	Columns int  `cbor:"columns"`
	Plain   bool `cbor:"plain,omitempty"` // in characters of more or less ink, without colours
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
	tiles  []tile
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
	c.tiles = v.tiles(tileSide)
	n := len(c.tiles)
	c.ledger = ledger{Tiles: n, Came: make([]int, n), Workers: map[string]int{}}
	return nil
}

func (c *canvas) put(_ context.Context, p placed) error {
	t := p.Tile
	if t.N < 0 || t.N >= len(c.tiles) || t != c.tiles[t.N] || p.Pixels.N != t.N || len(p.Pixels.RGB) != 3*t.W*t.H {
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

// noPicture is what a canvas answers before it has one.
func noPicture() error { return actor.NewError("no_picture", "no picture was begun") }

func (c *canvas) save(_ context.Context, path string) error {
	if c.image == nil {
		return noPicture()
	}
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
// colour on a ground of the other, or a character with about as much ink.
func (c *canvas) look(_ context.Context, args lookArgs) ([]string, error) {
	columns := args.Columns
	switch {
	case c.image == nil:
		return nil, noPicture()
	case columns < 1 || columns > maxColumns:
		return nil, actor.NewError("bad_columns", fmt.Sprintf("%d columns: from 1 to %d", columns, maxColumns))
	}
	b := c.image.Bounds()
	rows := min(max(columns*b.Dy()/b.Dx()/2, 1), maxColumns)
	sample := func(col, row int) color.RGBA { // the middle of a cell
		return c.image.RGBAAt((2*col+1)*b.Dx()/(2*columns), (2*row+1)*b.Dy()/(4*rows))
	}
	var lines []string
	for row := range rows {
		line := make([]byte, 0, columns*40)
		for col := range columns {
			u, d := sample(col, 2*row), sample(col, 2*row+1)
			if args.Plain {
				line = append(line, ink(u, d))
				continue
			}
			line = fmt.Appendf(line, "\x1b[38;2;%d;%d;%dm\x1b[48;2;%d;%d;%dm▀", u.R, u.G, u.B, d.R, d.G, d.B)
		}
		if !args.Plain {
			line = append(line, "\x1b[0m"...)
		}
		lines = append(lines, string(line))
	}
	return lines, nil
}

const maxColumns = 1000

// ink returns the character that is about as bright as u and d together.
func ink(u, d color.RGBA) byte {
	const shades = " .:-=+*#%@"
	light := 0
	for _, c := range []color.RGBA{u, d} {
		light += 299*int(c.R) + 587*int(c.G) + 114*int(c.B) // ITU-R BT.601, of 1000
	}
	return shades[light*len(shades)/(2*255*1000+1)]
}

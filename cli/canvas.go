package cli

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"

	"github.com/arbiter-go/arbiter/actor"
)

// The commands of a canvas.
var (
	begin  = actor.NewCommand[opening, actor.None]("begin", actor.Doc("begins a frame"))
	put    = actor.NewCommand[placed, bool]("put", actor.Doc("puts a tile in its place, and says whether its frame is complete with it"))
	report = actor.NewCommand[actor.None, balance]("ledger", actor.Doc("says which tiles are due and which came"))
	save   = actor.NewCommand[string, actor.None]("save", actor.Doc("writes the latest complete frame as PNG"))
	look   = actor.NewCommand[lookArgs, picture]("look", actor.Doc("the latest complete frame as lines of text"))
)

// opening is a frame to be assembled.
type opening struct {
	Frame int  `cbor:"frame"`
	View  view `cbor:"view"`
}

// placed is a coloured tile, where it belongs, and who rendered it.
type placed struct {
	Tile   tile   `cbor:"tile"`
	Pixels pixels `cbor:"pixels"`
	By     string `cbor:"by"`
}

// canvas assembles frames. It is the state of one actor.
type canvas struct {
	ledger *ledger
	open   map[int]*sheet // frames that are not complete
	latest *sheet         // that is; nil: none
	spare  *image.RGBA    // of a frame nobody looks at any more
}

// sheet is one frame.
type sheet struct {
	frame int
	view  view
	tiles []tile
	image *image.RGBA
}

// painter is the kind of a canvas.
var painter = &actor.Kind[*canvas]{
	Name: "canvas",
	Doc:  "assembles frames from tiles, and keeps the ledger",
	New: func(context.Context) (*canvas, error) {
		return &canvas{ledger: newLedger(), open: map[int]*sheet{}}, nil
	},
	Handlers: []actor.Handler[*canvas]{
		actor.On(begin, (*canvas).begin), actor.Handle(put, (*canvas).put), actor.Handle(report, (*canvas).report),
		actor.On(save, (*canvas).save), actor.Handle(look, (*canvas).look),
	},
}

const tileSide = 64

func (c *canvas) begin(_ context.Context, o opening) error {
	s := &sheet{frame: o.Frame, view: o.View, tiles: o.View.tiles(o.Frame, tileSide)}
	if err := c.ledger.begin(o.Frame, len(s.tiles)); err != nil {
		return err
	}
	size := image.Rect(0, 0, o.View.Width, o.View.Height)
	if s.image = c.spare; s.image == nil || s.image.Bounds() != size {
		s.image = image.NewRGBA(size)
	}
	c.spare = nil
	c.open[o.Frame] = s
	return nil
}

func (c *canvas) put(_ context.Context, p placed) (complete bool, err error) {
	t := p.Tile
	s := c.open[t.Frame]
	if s != nil && (t.N < 0 || t.N >= len(s.tiles) || t != s.tiles[t.N] || len(p.Pixels.RGB) != 3*t.W*t.H) {
		return false, actor.NewError("bad_tile", fmt.Sprintf("%v does not belong to it", t))
	}
	first, complete := c.ledger.came(spot{t.Frame, t.N}, p.By)
	if !first {
		return false, actor.NewError("twice", fmt.Sprintf("%v has come before, or is not due", t))
	}
	rgb := p.Pixels.RGB
	for y := range t.H {
		for x := range t.W {
			s.image.SetRGBA(t.X+x, t.Y+y, color.RGBA{R: rgb[0], G: rgb[1], B: rgb[2], A: 255})
			rgb = rgb[3:]
		}
	}
	if complete {
		c.finish(s)
	}
	return complete, nil
}

// finish shows s, which is complete, unless a later frame is shown already.
func (c *canvas) finish(s *sheet) {
	delete(c.open, s.frame)
	old := c.latest
	if old == nil || old.frame < s.frame {
		c.latest, s = s, old
	}
	if s != nil {
		c.spare = s.image
	}
}

func (c *canvas) report(context.Context, actor.None) (balance, error) { return c.ledger.sum(), nil }

// noPicture is what a canvas answers before it has one.
func noPicture() error { return actor.NewError("no_picture", "no frame is complete yet") }

func (c *canvas) save(_ context.Context, path string) error {
	if c.latest == nil {
		return noPicture()
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(f, c.latest.image); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// lookArgs say how a picture is to be shown as text.
type lookArgs struct {
	Columns int    `cbor:"columns"` // at most
	Rows    int    `cbor:"rows"`    // likewise
	Colours string `cbor:"colours"` // "plain": in characters of more or less ink; "256"; or "full"
}

// picture is a frame as text. Lines are as wide as Columns.
type picture struct {
	Frame   int      `cbor:"frame"`
	Columns int      `cbor:"columns"`
	Lines   []string `cbor:"lines"`
}

const maxColumns = 1000

// look draws the picture with two pixels a character, which is about twice as high
// as wide: the upper half block in one colour on a ground of the other, or a
// character with about as much ink.
func (c *canvas) look(_ context.Context, args lookArgs) (picture, error) {
	if min(args.Columns, args.Rows) < 1 || max(args.Columns, args.Rows) > maxColumns {
		return picture{}, actor.NewError("bad_size", fmt.Sprintf("%d columns and %d rows: each from 1 to %d", args.Columns, args.Rows, maxColumns))
	}
	if c.latest == nil {
		return picture{}, noPicture()
	}
	width, height := c.latest.view.Width, c.latest.view.Height
	columns := max(min(args.Columns, 2*args.Rows*width/height), 1)
	rows := max(min(args.Rows, columns*height/width/2), 1)
	p := picture{Frame: c.latest.frame, Columns: columns}
	for row := range rows {
		var line inkLine
		for col := range columns {
			upper := average(c.latest.image, col, 2*row, columns, 2*rows)
			lower := average(c.latest.image, col, 2*row+1, columns, 2*rows)
			line.add(upper, lower, args.Colours)
		}
		p.Lines = append(p.Lines, line.end())
	}
	return p, nil
}

// samples are how many points of a pixel of text are looked at, each way: a large
// picture is not to take long.
const samples = 6

// average returns the colour of the part of a picture that becomes one of
// columns × rows pixels of text.
func average(img *image.RGBA, col, row, columns, rows int) color.RGBA {
	b := img.Bounds()
	x0, x1 := col*b.Dx()/columns, max((col+1)*b.Dx()/columns, col*b.Dx()/columns+1)
	y0, y1 := row*b.Dy()/rows, max((row+1)*b.Dy()/rows, row*b.Dy()/rows+1)
	dx, dy := (x1-x0+samples-1)/samples, (y1-y0+samples-1)/samples
	var red, green, blue, n int
	for y := y0; y < y1; y += dy {
		for x := x0; x < x1; x += dx {
			c := img.RGBAAt(x, y)
			red, green, blue, n = red+int(c.R), green+int(c.G), blue+int(c.B), n+1
		}
	}
	return color.RGBA{R: uint8(red / n), G: uint8(green / n), B: uint8(blue / n), A: 255}
}

// inkLine is a line of text being drawn. Colours are said when they change.
type inkLine struct {
	text         []byte
	upper, lower string
	coloured     bool
}

func (l *inkLine) add(upper, lower color.RGBA, colours string) {
	if colours == "plain" {
		l.text = append(l.text, ink(upper, lower))
		return
	}
	say := func(last *string, what int, c color.RGBA) {
		text := fmt.Sprintf("\x1b[%d;2;%d;%d;%dm", what, c.R, c.G, c.B)
		if colours == "256" {
			text = fmt.Sprintf("\x1b[%d;5;%dm", what, colour256(c))
		}
		if text != *last {
			*last = text
			l.text = append(l.text, text...)
		}
	}
	l.coloured = true
	say(&l.upper, 38, upper)
	say(&l.lower, 48, lower)
	l.text = append(l.text, "▀"...)
}

func (l *inkLine) end() string {
	if l.coloured {
		l.text = append(l.text, "\x1b[0m"...)
	}
	return string(l.text)
}

// colour256 returns the nearest of the 6×6×6 colours that terminals number from 16
// on, or of the greys from 232 on.
func colour256(c color.RGBA) int {
	level := func(v uint8) (n, value int) { // the levels of the cube: 0, 95, 135, … 255
		n = max(int(v)-35, 0) / 40
		if n == 0 && v > 47 {
			n = 1
		}
		if n == 0 {
			return 0, 0
		}
		return n, 55 + 40*n
	}
	r, red := level(c.R)
	g, green := level(c.G)
	b, blue := level(c.B)
	far := func(red, green, blue int) int {
		x, y, z := red-int(c.R), green-int(c.G), blue-int(c.B)
		return x*x + y*y + z*z
	}
	grey := min(max((int(c.R)+int(c.G)+int(c.B))/3-3, 0)/10, 23) // 8, 18, … 238
	if v := 8 + 10*grey; far(v, v, v) < far(red, green, blue) {
		return 232 + grey
	}
	return 16 + 36*r + 6*g + b
}

// ink returns the character that is about as bright as u and d together.
func ink(u, d color.RGBA) byte {
	const shades = " .:-=+*#%@"
	light := 0
	for _, c := range []color.RGBA{u, d} {
		light += 299*int(c.R) + 587*int(c.G) + 114*int(c.B) // ITU-R BT.601, of 1000
	}
	return shades[light*len(shades)/(2*255*1000+1)]
}

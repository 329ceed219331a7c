package cli

import (
	"context"
	"encoding/binary"
	"fmt"
	"image/color"
	"math"

	"github.com/arbiter-go/arbiter/actor"
)

// view is the part of the plane that is drawn, and how large.
type view struct {
	CenterX float64 `cbor:"x"`
	CenterY float64 `cbor:"y"`
	Span    float64 `cbor:"span"` // of the shorter side
	Width   int     `cbor:"w"`
	Height  int     `cbor:"h"`
	Limit   int     `cbor:"limit"` // steps after which a point is taken never to escape
}

// The zoom: dive frames from the whole set down to one place, each a little closer
// than the one before, and then the next place.
const (
	dive   = 300
	wide   = 2.6  // the span of the first frame
	closer = 0.96 // that of each frame, of the one before
)

// place is where the zoom goes.
type place struct{ x, y float64 }

func places() []place {
	return []place{
		{-0.743643887037151, 0.131825904205330}, // the valley of the seahorses
		{-0.761574, -0.0847596},
		{-0.16070135, 1.0375665},
		{-1.25066, 0.02012},
	}
}

// frame returns what is drawn as frame n of the zoom, from 0, in pictures of size s.
func (s size) frame(n int) view {
	all := places()
	at := all[n/dive%len(all)]
	span := wide * math.Pow(closer, float64(n%dive))
	return view{
		CenterX: at.x, CenterY: at.y, Span: span, Width: s.width, Height: s.height,
		Limit: 200 + int(80*math.Log2(wide/span)), // the closer, the later points escape
	}
}

// tile is a piece of a frame: pixels [X, X+W) × [Y, Y+H) of its view.
type tile struct {
	View  view `cbor:"view"`
	Frame int  `cbor:"f"`
	N     int  `cbor:"n"` // from 0, row by row
	X     int  `cbor:"tx"`
	Y     int  `cbor:"ty"`
	W     int  `cbor:"tw"`
	H     int  `cbor:"th"`
}

func (t tile) String() string { return fmt.Sprintf("tile %d of frame %d", t.N, t.Frame) }

// tiles cuts frame n, which shows v, into tiles of at most side × side pixels.
func (v view) tiles(n, side int) []tile {
	var list []tile
	for y := 0; y < v.Height; y += side {
		for x := 0; x < v.Width; x += side {
			list = append(list, tile{View: v, Frame: n, N: len(list), X: x, Y: y, W: min(side, v.Width-x), H: min(side, v.Height-y)})
		}
	}
	return list
}

// rendered is a tile in which each point is known, but not yet coloured. Steps are
// those after which the points escape, row by row, in sixteenths and two bytes each,
// the lower first; 0 says that one never does.
type rendered struct {
	Steps []byte `cbor:"steps"`
	By    string `cbor:"by"` // who rendered it
}

// pixels are a coloured tile: three bytes a pixel, row by row.
type pixels struct {
	RGB []byte `cbor:"rgb"`
	By  string `cbor:"by"` // who coloured it
}

// The commands of those who make pictures. Rendering and colouring are apart, so
// that each can be done by whom and where it is done best. Who is told to panic ends
// as its language has it.
var (
	render = actor.NewCommand[tile, rendered]("render", actor.Doc("computes one tile of a picture"))
	tint   = actor.NewCommand[rendered, pixels]("colour", actor.Doc("gives a rendered tile its colours"))
	fault  = actor.NewCommand[actor.None, actor.None]("panic", actor.Doc("panics, which is the end of this actor"))
	hang   = actor.NewCommand[actor.None, actor.None]("hang", actor.Doc("never ends by itself"))
)

// renderer is the actor that computes tiles. It has no state.
var renderer = &actor.Kind[actor.None]{
	Name: "renderer",
	Doc:  "computes tiles of a fractal",
	Handlers: []actor.Handler[actor.None]{
		actor.Handle(render, func(_ actor.None, ctx context.Context, t tile) (rendered, error) { return t.render(ctx) }),
		actor.On(fault, func(actor.None, context.Context, actor.None) error { panic("told to panic") }),
		actor.On(hang, func(_ actor.None, ctx context.Context, _ actor.None) error { <-ctx.Done(); return ctx.Err() }),
	},
}

// colourist is the actor that colours tiles, where colourist.py does not. It has no
// state.
var colourist = &actor.Kind[actor.None]{
	Name: "colourist",
	Doc:  "colours rendered tiles",
	Handlers: []actor.Handler[actor.None]{
		actor.Handle(tint, func(_ actor.None, ctx context.Context, r rendered) (pixels, error) {
			p := r.colour()
			if self, ok := actor.Current(ctx); ok {
				p.By = self.Ref().Name
			}
			return p, nil
		}),
	},
}

// What a renderer computes at most. A row takes up to a tile's width × maxLimit
// steps, in which nobody asks whether the caller still waits.
const (
	maxTile   = 1 << 20 // pixels
	maxLimit  = math.MaxUint16/sixteenth - 2
	sixteenth = 16
)

// render computes t.
func (t tile) render(ctx context.Context) (rendered, error) {
	if t.W <= 0 || t.H <= 0 || t.W > maxTile/t.H || t.View.Width <= 0 || t.View.Height <= 0 {
		return rendered{}, actor.NewError("bad_tile", "a tile has between 1 and 1,048,576 pixels, and is part of a view that has some")
	}
	if t.View.Limit < 0 || t.View.Limit > maxLimit {
		return rendered{}, actor.NewError("bad_tile", fmt.Sprintf("a view has between 0 and %d steps", maxLimit))
	}
	var r rendered
	if self, ok := actor.Current(ctx); ok {
		r.By = self.Ref().Name
	}
	r.Steps = make([]byte, 0, 2*t.W*t.H)
	for y := t.Y; y < t.Y+t.H; y++ {
		if err := ctx.Err(); err != nil {
			return rendered{}, err
		}
		for x := t.X; x < t.X+t.W; x++ {
			r.Steps = binary.LittleEndian.AppendUint16(r.Steps, t.View.steps(x, y))
		}
	}
	return r, nil
}

// steps says how soon the point of one pixel escapes, smoothly, in sixteenths of a
// step; 0 if it does not.
func (v view) steps(x, y int) uint16 {
	scale := v.Span / float64(min(v.Width, v.Height))
	cx := v.CenterX + (float64(x)-float64(v.Width)/2)*scale
	cy := v.CenterY + (float64(y)-float64(v.Height)/2)*scale
	if inside(cx, cy) {
		return 0
	}
	var zx, zy float64
	for n := range v.Limit {
		xx, yy := zx*zx, zy*zy
		if xx+yy > 256 {
			smooth := float64(n) + 1 - math.Log2(math.Log2(xx+yy)/2)
			return uint16(max(smooth*sixteenth, 1))
		}
		zx, zy = xx-yy+cx, 2*zx*zy+cy
	}
	return 0
}

// inside reports whether a point is in one of the two largest parts of the set, the
// cardioid and the disc west of it, in which most of the time would be spent.
func inside(x, y float64) bool {
	q := (x-0.25)*(x-0.25) + y*y
	return q*(q+x-0.25) <= y*y/4 || (x+1)*(x+1)+y*y <= 1.0/16
}

// colour turns steps into colours that wander around the wheel; what does not
// escape is black.
func (r rendered) colour() pixels {
	rgb := make([]byte, 0, len(r.Steps)/2*3)
	for s := r.Steps; len(s) >= 2; s = s[2:] {
		c := palette(binary.LittleEndian.Uint16(s))
		rgb = append(rgb, c.R, c.G, c.B)
	}
	return pixels{RGB: rgb}
}

func palette(steps uint16) color.RGBA {
	if steps == 0 {
		return color.RGBA{A: 255}
	}
	t := math.Sqrt(float64(steps)/sixteenth) * 0.55
	wave := func(phase float64) uint8 { return uint8(127.5 + 127.5*math.Cos(t+phase)) }
	return color.RGBA{R: wave(3.0), G: wave(3.7), B: wave(4.5), A: 255}
}

package cli

import (
	"context"
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
	Limit   int     `cbor:"limit"` // iterations
}

// seahorse is worth looking at.
func seahorse(width, height int) view {
	return view{CenterX: -0.743643, CenterY: 0.131825, Span: 0.006, Width: width, Height: height, Limit: 1500}
}

// tile is a piece of a view: pixels [X, X+W) × [Y, Y+H).
type tile struct {
	View view `cbor:"view"`
	N    int  `cbor:"n"`
	X    int  `cbor:"tx"`
	Y    int  `cbor:"ty"`
	W    int  `cbor:"tw"`
	H    int  `cbor:"th"`
}

// pixels is a rendered tile: three bytes a pixel, row by row.
type pixels struct {
	N   int    `cbor:"n"`
	RGB []byte `cbor:"rgb"`
}

// render is the command of a renderer.
var render = actor.NewCommand[tile, pixels]("render", actor.Doc("computes one tile of a picture"))

// renderer is the actor that computes tiles. It has no state.
var renderer = &actor.Kind[actor.None]{
	Name: "renderer",
	Doc:  "computes tiles of a fractal",
	Handlers: []actor.Handler[actor.None]{
		actor.Handle(render, func(_ actor.None, ctx context.Context, t tile) (pixels, error) { return t.draw(ctx) }),
	},
}

// tiles cuts v into tiles of at most side × side pixels.
func (v view) tiles(side int) []tile {
	var list []tile
	for y := 0; y < v.Height; y += side {
		for x := 0; x < v.Width; x += side {
			list = append(list, tile{View: v, N: len(list), X: x, Y: y, W: min(side, v.Width-x), H: min(side, v.Height-y)})
		}
	}
	return list
}

// What a renderer computes at most. A pixel takes up to maxLimit steps, in which
// nobody asks whether the caller still waits.
const (
	maxTile  = 1 << 20 // pixels
	maxLimit = 100_000
)

// draw computes t.
func (t tile) draw(ctx context.Context) (pixels, error) {
	if t.W <= 0 || t.H <= 0 || t.W > maxTile/t.H || t.View.Width <= 0 || t.View.Height <= 0 {
		return pixels{}, actor.NewError("bad_tile", "a tile has between 1 and 1,048,576 pixels, and is part of a view that has some")
	}
	if t.View.Limit < 0 || t.View.Limit > maxLimit {
		return pixels{}, actor.NewError("bad_tile", "a view has between 0 and 100,000 iterations")
	}
	rgb := make([]byte, 0, 3*t.W*t.H)
	for y := t.Y; y < t.Y+t.H; y++ {
		if err := ctx.Err(); err != nil {
			return pixels{}, err
		}
		for x := t.X; x < t.X+t.W; x++ {
			c := t.View.at(x, y)
			rgb = append(rgb, c.R, c.G, c.B)
		}
	}
	return pixels{N: t.N, RGB: rgb}, nil
}

// at returns the colour of one pixel: by how fast its orbit escapes, smoothly.
func (v view) at(x, y int) color.RGBA {
	scale := v.Span / float64(min(v.Width, v.Height))
	cx := v.CenterX + (float64(x)-float64(v.Width)/2)*scale
	cy := v.CenterY + (float64(y)-float64(v.Height)/2)*scale
	var zx, zy float64
	for n := range v.Limit {
		xx, yy := zx*zx, zy*zy
		if xx+yy > 256 {
			smooth := float64(n) + 1 - math.Log2(math.Log2(xx+yy)/2)
			return palette(smooth)
		}
		zx, zy = xx-yy+cx, 2*zx*zy+cy
	}
	return color.RGBA{A: 255}
}

// palette turns the escape time into a colour that wanders around the wheel.
func palette(n float64) color.RGBA {
	t := math.Sqrt(max(n, 0)) * 0.55
	wave := func(phase float64) uint8 { return uint8(127.5 + 127.5*math.Cos(t+phase)) }
	return color.RGBA{R: wave(3.0), G: wave(3.7), B: wave(4.5), A: 255}
}

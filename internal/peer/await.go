package peer

import (
	"errors"
	"io"
	"slices"

	"github.com/arbiter-go/arbiter/internal/frame"
)

// ErrHTTP is what Await returns if the other end speaks HTTP.
var ErrHTTP = errors.New("the other end speaks HTTP")

// Await reads the first frame of whoever has connected, before anything is made for them:
// so who connects and says nothing costs a few bytes. What it has read, at most that frame
// and some of what comes with it, is for Choose. Of a frame that is too long, or masked, it may
// be less: the Conn refuses it.
//
// With http an HTTP request, which begins with "G", is ErrHTTP. Any other error is r's, or
// io.ErrUnexpectedEOF if r ended inside of the frame.
func Await(r io.Reader, http bool) (read []byte, err error) {
	read = make([]byte, 0, 128)
	for {
		if len(read) == cap(read) {
			read = slices.Grow(read, 3*len(read))
		}
		n, err := r.Read(read[len(read):cap(read)])
		read = read[:len(read)+n]
		switch {
		case len(read) == 0 && err == nil:
			continue
		case len(read) == 0:
			return nil, err
		case http && read[0] == 'G':
			return read, ErrHTTP
		}
		h, size, bad := frame.ParseHeader(read)
		switch {
		case bad != nil, size > 0 && (h.Masked || h.Length > maxHello || uint64(len(read)-size) >= h.Length):
			return read, nil
		case err == io.EOF:
			return read, io.ErrUnexpectedEOF
		case err != nil:
			return read, err
		}
	}
}

package peer

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/arbiter-go/arbiter/internal/frame"
)

func TestAwait(t *testing.T) {
	hello := frame.AppendFrame(nil, frame.Binary, bytes.Repeat([]byte("h"), 300))
	text := frame.AppendFrame(nil, frame.Text, []byte(`{"command":"hello"}`))
	lost := errors.New("lost")
	var fragment, large []byte
	fragment = frame.Header{Opcode: frame.Text, Length: 2}.Append(fragment)
	fragment = append(fragment, "{}"...)
	large = frame.Header{Fin: true, Opcode: frame.Binary, Length: maxHello + 1}.Append(large)
	for _, test := range []struct {
		name string
		in   []byte
		end  error // of the stream; nil: nothing more comes
		http bool
		read int // at least; all of what is read is the beginning of in
		err  error
	}{
		{"a hello", hello, nil, false, len(hello), nil},
		{"a hello, and more behind it", append(hello[:len(hello):len(hello)], text...), nil, false, len(hello), nil},
		{"json", text, nil, true, len(text), nil},
		{"an empty message", frame.AppendFrame(nil, frame.Binary, nil), nil, false, 2, nil},
		{"a fragment", fragment, nil, false, len(fragment), nil},
		{"a ping", frame.AppendFrame(nil, frame.Ping, nil), nil, false, 2, nil},
		{"no frame", []byte("\xff\xff"), nil, false, 1, nil},
		{"a masked header", frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Length: 20}.Append(nil), nil, false, 6, nil},
		{"more than a hello may have", large, nil, false, len(large), nil},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), nil, true, 1, ErrHTTP},
		{"HTTP where that is not taken", []byte("GET / HTTP/1.1\r\n"), nil, false, 1, nil},
		{"nothing", nil, io.EOF, true, 0, io.EOF},
		{"half a header", hello[:1], io.EOF, false, 1, io.ErrUnexpectedEOF},
		{"half a hello", hello[:100], io.EOF, false, 100, io.ErrUnexpectedEOF},
		{"a connection that is lost", hello[:100], lost, false, 100, lost},
		{"one that ends behind its hello", hello, io.EOF, false, len(hello), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for way, reader := range map[string]func(io.Reader) io.Reader{
				"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the error": iotest.DataErrReader,
			} {
				end := test.end
				if end == nil {
					end = errors.New("it was to read no further")
				}
				read, err := Await(reader(io.MultiReader(bytes.NewReader(test.in), iotest.ErrReader(end))), test.http)
				if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
					t.Errorf("%s: %v; want %v", way, err, test.err)
				}
				if len(read) < test.read || !bytes.HasPrefix(test.in, read) {
					t.Errorf("%s: read %q of %q", way, read, test.in)
				}
			}
		})
	}
}

// What a header promises is not believed before it is there.
func TestAwaitTakesLittle(t *testing.T) {
	head := frame.Header{Fin: true, Opcode: frame.Binary, Length: maxHello}.Append(nil)
	read, err := Await(io.MultiReader(bytes.NewReader(head), iotest.ErrReader(io.EOF)), false)
	if err != io.ErrUnexpectedEOF || cap(read) > 256 {
		t.Errorf("%d bytes for %d, %v", cap(read), len(read), err)
	}
}

// What was read already is read first, by whichever profile it is.
func TestChooserReadsFirst(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 1000)
	want := frame.AppendFrame(nil, frame.Binary, long)
	for cut := 0; cut <= len(want); cut += 777 {
		ours, theirs := Pipe()
		go func() {
			_, _ = theirs.Write(want[cut:])
			_ = theirs.Close()
		}()
		c := Choose(ours, bytes.Clone(want[:cut]))
		got, err := io.ReadAll(iotest.HalfReader(c))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: %d bytes, %v", cut, len(got), err)
		}
		if c.Info().Profile != Native {
			t.Errorf("cut at %d: %q", cut, c.Info().Profile)
		}
	}
}

func FuzzAwait(f *testing.F) {
	f.Add(frame.AppendFrame(nil, frame.Binary, []byte("hello")), uint8(3))
	f.Add([]byte("\x82\x24\x01\x00\x01"), uint8(1))
	f.Add([]byte("GET / HTTP/1.1"), uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		var r io.Reader = bytes.NewReader(in)
		if step > 0 {
			r = &steps{r, int(step)}
		}
		read, err := Await(r, true)
		if !bytes.HasPrefix(in, read) {
			t.Fatalf("read %q of %q", read, in)
		}
		h, n, bad := frame.ParseHeader(in)
		there := bad == nil && n > 0 && !h.Masked && h.Length <= maxHello && uint64(len(in)-n) >= h.Length
		switch {
		case len(in) > 0 && in[0] == 'G':
			if err != ErrHTTP {
				t.Fatalf("%q: %v", in, err)
			}
		case err == nil && !there && bad == nil && !h.Masked && h.Length <= maxHello:
			t.Fatalf("%q is no whole frame, and no error", in)
		case err != nil && there:
			t.Fatalf("%q: %v", in, err)
		}
	})
}

// steps reads n bytes at a time.
type steps struct {
	io.Reader
	n int
}

func (s *steps) Read(b []byte) (int, error) { return s.Reader.Read(b[:min(len(b), s.n)]) }

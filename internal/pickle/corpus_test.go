package pickle

import (
	"archive/tar"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// captured is one frame of testdata/frames.tar.gz.
type captured struct {
	File    string          `json:"file"`
	Globals []string        `json:"globals"`
	Message json.RawMessage `json:"message"`
	pickle  []byte
}

var readCorpus = sync.OnceValues(func() ([]*captured, error) {
	f, err := os.Open("testdata/frames.tar.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var frames []*captured
	byName := map[string]*captured{}
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Name == "messages.jsonl" {
			for lines := json.NewDecoder(files); ; {
				c := new(captured)
				if err := lines.Decode(c); err == io.EOF {
					break
				} else if err != nil {
					return nil, err
				}
				frames = append(frames, c)
				byName[c.File] = c
			}
			continue
		}
		frame, err := io.ReadAll(files)
		if err != nil {
			return nil, err
		}
		byName[h.Name].pickle = payload(frame)
	}
})

// corpus returns the frames captured from real pulsar.
func corpus(t testing.TB) []*captured {
	t.Helper()
	frames, err := readCorpus()
	if err != nil {
		t.Fatal(err)
	}
	if len(frames) != 686 {
		t.Fatalf("%d frames, want 686", len(frames))
	}
	for _, f := range frames {
		if len(f.pickle) == 0 {
			t.Fatalf("no bytes for %s", f.File)
		}
	}
	return frames
}

// payload returns what follows the header of an unmasked frame (RFC 6455 §5.2).
func payload(frame []byte) []byte {
	switch n := frame[1]; n {
	case 126:
		return frame[4:][:binary.BigEndian.Uint16(frame[2:])]
	case 127:
		return frame[10:][:binary.BigEndian.Uint64(frame[2:])]
	default:
		return frame[2:][:n]
	}
}

// named returns the pickle of the first frame of pulsar 2.0.2 with this in its name.
func named(t testing.TB, part string) []byte {
	t.Helper()
	for _, f := range corpus(t) {
		if strings.HasPrefix(f.File, "v202/") && strings.Contains(f.File, part) {
			return f.pickle
		}
	}
	t.Fatalf("there is no frame %q", part)
	return nil
}

func decoded(t testing.TB, p []byte) Value {
	t.Helper()
	v, err := Decode(p, Limits{})
	if err != nil {
		t.Fatalf("%v\n%.400x", err, p)
	}
	return v
}

package oracles

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/arbiter-go/arbiter/internal/frame"
)

// againstGobwas has both read b, and returns how that ended.
func againstGobwas(t *testing.T, name string, b []byte, server bool, limit int) string {
	t.Helper()
	b = comparable(b)
	o := frame.Options{Limit: limit, Fragments: true, TextUTF8: true}
	state := ws.StateClientSide
	if server {
		o.Masking, state = frame.MaskRequired, ws.StateServerSide
	}
	list, end := ours(b, o)
	theirs, their := gobwas(b, state, limit)
	if end == over && their == "1007" {
		their = over // text that is cut off in a frame: they look before it is whole
	}
	if !slices.Equal(list, theirs) || end != their {
		t.Errorf("%s (server: %v, limit %d): %x\nwe read   %s, then %s\nthey read %s, then %s", name, server, limit, b[:min(len(b), 200)], short(list), end, short(theirs), their)
	}
	return end
}

func gobwas(b []byte, state ws.State, limit int) (list []string, end string) {
	r := &wsutil.Reader{Source: bytes.NewReader(b), State: state, CheckUTF8: true, MaxMessageSize: int64(limit)}
	r.OnIntermediate = func(h ws.Header, payload io.Reader) error {
		p, err := io.ReadAll(payload)
		if err == nil && len(p) < int(h.Length) {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			list = append(list, event(byte(h.OpCode), p))
		}
		return err
	}
	for {
		h, err := r.NextFrame()
		var payload []byte
		if err == nil {
			payload, err = io.ReadAll(r)
		}
		if err != nil {
			return list, gobwasEnd(err)
		}
		list = append(list, event(byte(h.OpCode), payload))
	}
}

func gobwasEnd(err error) string {
	var violation ws.ProtocolError
	switch {
	case errors.Is(err, wsutil.ErrInvalidUTF8):
		return "1007"
	case errors.Is(err, wsutil.ErrMessageTooLarge):
		return "1009"
	case errors.As(err, &violation), errors.Is(err, ws.ErrHeaderLengthMSB):
		return "1002"
	}
	return over
}

func FuzzGobwas(f *testing.F) {
	for _, s := range [][]byte{
		frame.AppendFrame(frame.AppendFrame(nil, frame.Text, []byte("é")), frame.Close, []byte("\x03\xe8")),
		[]byte("\x01\x02\xe2\x82\x89\x01p\x80\x01\xac"), []byte("\x02\x01a\x81\x01b"), []byte("\x80\x00"), []byte("\xc1\x00"),
		[]byte("\x81\x81\x01\x02\x03\x04\x05"), []byte("\x88\x01a"), []byte("\x83\x00"), []byte("\x09\x00"),
	} {
		f.Add(s, false, uint16(100))
		f.Add(s, true, uint16(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, server bool, limit uint16) {
		againstGobwas(t, "this", b, server, 125+int(limit))
	})
}

// FuzzHeader: a header that one takes the other takes, as the same, and writes as the
// same bytes.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("\x82\x05hello"))
	f.Add([]byte("\x82\xfe\x00\x7e\x01\x02\x03\x04"))
	f.Add([]byte("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"))
	f.Add([]byte("\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		theirs, err := ws.ReadHeader(r)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return // we may refuse what is not whole
		}
		if err == nil {
			if err = ws.CheckHeader(theirs, theirsFragmented(theirs)); err == nil && len(b)-r.Len() > ws.HeaderSize(theirs) {
				err = errors.New("not the shortest form")
			}
		}
		ours, n, ourErr := frame.ParseHeader(b)
		if (err == nil) != (ourErr == nil) {
			t.Fatalf("%x: we say %v, they say %v", b, ourErr, err)
		}
		if err != nil {
			return
		}
		if ours.Fin != theirs.Fin || byte(ours.Opcode) != byte(theirs.OpCode) || ours.Masked != theirs.Masked || ours.Mask != theirs.Mask ||
			ours.Length != uint64(theirs.Length) || n != ws.HeaderSize(theirs) || n != ours.Size() {
			t.Fatalf("%x: we read %+v (%d), they read %+v", b, ours, n, theirs)
		}
		var written bytes.Buffer
		if err := ws.WriteHeader(&written, theirs); err != nil || !bytes.Equal(written.Bytes(), ours.Append(nil)) {
			t.Fatalf("%+v: we write %x, they write %x, %v", ours, ours.Append(nil), written.Bytes(), err)
		}
	})
}

// theirsFragmented is the state in which h is not out of its place.
func theirsFragmented(h ws.Header) ws.State {
	if h.OpCode == ws.OpContinuation {
		return ws.StateFragmented
	}
	return 0
}

func FuzzMask(f *testing.F) {
	f.Add([]byte("0123"), uint8(3), []byte("a payload of more than thirty-two bytes, so that each loop turns"))
	f.Fuzz(func(t *testing.T, k []byte, pos uint8, b []byte) {
		var key [4]byte
		copy(key[:], k)
		theirs := bytes.Clone(b)
		ws.Cipher(theirs, key, int(pos))
		frame.Mask(key, int(pos), b)
		if !bytes.Equal(b, theirs) {
			t.Fatalf("we make %x, they make %x", b, theirs)
		}
	})
}

// FuzzClose: what one says in a close frame the other understands, and they agree on
// which may not be. They know only codes up to 1011 and those from 3000 on; 1012 to 1014
// were registered later.
func FuzzClose(f *testing.F) {
	for _, code := range []uint16{0, 999, 1000, 1004, 1005, 1006, 1011, 1012, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 65535} {
		f.Add(code, "it is over")
	}
	f.Add(uint16(1000), "\xff")
	f.Fuzz(func(t *testing.T, code uint16, reason string) {
		said := reason
		if len(said) > ws.MaxControlFramePayloadSize-2 {
			said = "" // they look at the length of a close frame elsewhere
		}
		payload := ws.NewCloseFrameBody(ws.StatusCode(code), said)
		ours, text, err := frame.ParseClose(payload)
		theirs := ws.CheckCloseFrameData(ws.ParseCloseFrameData(payload))
		if code >= 1012 && code <= 1014 || code >= 5000 {
			theirs = err
		}
		if (err == nil) != (theirs == nil) {
			t.Fatalf("%d %q: we say %v, they say %v", code, said, err, theirs)
		}
		if err == nil && (uint16(ours) != code || text != said) {
			t.Fatalf("%d %q was read as %d %q", code, said, ours, text)
		}
		payload = frame.AppendClose(nil, frame.CloseCode(code), reason)
		if len(payload) == 0 {
			return
		}
		c, s := ws.ParseCloseFrameData(payload)
		if err := ws.CheckCloseFrameData(c, s); err != nil && code != 1012 && code != 1013 && code != 1014 || len(payload) > ws.MaxControlFramePayloadSize {
			t.Fatalf("%d %q: we write %q, and they say %v", code, reason, payload, err)
		}
	})
}

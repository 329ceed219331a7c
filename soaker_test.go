package arbiter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// The soaker: an actor that sees whether what it is sent is whole and in order. Who finds
// something wrong tells the judge.
var (
	SoakEcho  = actor.NewCommand[[]byte, []byte]("soak_echo")
	SoakTell  = actor.NewCommand[[]byte, actor.None]("soak_tell", actor.NoAck())
	SoakHold  = actor.NewCommand[time.Duration, actor.None]("soak_hold")
	SoakVia   = actor.NewCommand[Errand, []byte]("soak_via")
	Complain  = actor.NewCommand[string, actor.None]("complain", actor.NoAck())
	Complaint = actor.NewCommand[actor.None, []string]("complaints")

	Soaker = &actor.Kind[*soaker]{
		Name: "soaker", New: func(context.Context) (*soaker, error) { return &soaker{last: make(map[string]uint64)}, nil },
		Handlers: []actor.Handler[*soaker]{
			actor.Handle(SoakEcho, func(_ *soaker, _ context.Context, b []byte) ([]byte, error) { return b, nil }),
			actor.On(SoakTell, (*soaker).Tell), actor.Handle(SoakHold, (*soaker).Hold), actor.Handle(SoakVia, (*soaker).Via),
		},
		Inbox: actor.Limits{Messages: 256, Bytes: 8 << 20},
	}
	Judge = &actor.Kind[*judge]{
		Name: "judge", New: func(context.Context) (*judge, error) { return &judge{}, nil },
		Handlers: []actor.Handler[*judge]{
			actor.On(Complain, func(j *judge, _ context.Context, text string) error {
				j.heard = append(j.heard, text)
				return nil
			}),
			actor.Handle(Complaint, func(j *judge, _ context.Context, _ actor.None) ([]string, error) { return j.heard, nil }),
		},
	}
)

type judge struct{ heard []string }

type soaker struct{ last map[string]uint64 }

// Errand is to be asked of another.
type Errand struct {
	At   string `cbor:"at"`
	Body []byte `cbor:"body"`
}

// A parcel is the number its sender has sent before, its sender, and more, all of which the
// number tells.
func parcel(from string, n uint64, size int) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 9+len(from)+size), n)
	b = append(append(b, byte(len(from))), from...)
	return append(b, bytes.Repeat([]byte{byte(n)}, size)...)
}

func (s *soaker) Tell(ctx context.Context, b []byte) error {
	wrong := func(format string, args ...any) error {
		return Complain.Send(ctx, actor.To("judge"), fmt.Sprintf(format, args...))
	}
	if len(b) < 9 || len(b) < 9+int(b[8]) {
		return wrong("a parcel of %d bytes", len(b))
	}
	n, from, rest := binary.BigEndian.Uint64(b), string(b[9:9+b[8]]), b[9+b[8]:]
	if bytes.Count(rest, []byte{byte(n)}) != len(rest) {
		return wrong("%d of %s is damaged", n, from)
	}
	if last := s.last[from]; n <= last {
		return wrong("%d of %s comes after %d", n, from, last)
	}
	s.last[from] = n
	return nil
}

func (s *soaker) Hold(ctx context.Context, d time.Duration) (actor.None, error) {
	select {
	case <-time.After(d):
		return actor.None{}, nil
	case <-ctx.Done():
		return actor.None{}, ctx.Err()
	}
}

func (s *soaker) Via(ctx context.Context, e Errand) ([]byte, error) {
	return SoakEcho.Call(ctx, actor.To(e.At), e.Body)
}

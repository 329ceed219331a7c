package arbiter

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/arbiter-go/arbiter/actor"
)

// simLend takes the number of its message and the bytes that go with that, and returns them. Its
// handler keeps nothing of them, nor does who asks.
var simLend = actor.NewCommand[[]byte, []byte]("lend")

// simBytes is what the bytes of all messages are from.
var simBytes = func() []byte {
	b := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

// simPad returns n bytes that go with the message id: it is to arrive with these.
func simPad(id uint64, n int) []byte {
	at := int(id * 7919 % (1 << 19))
	return simBytes[at : at+n : at+n]
}

// intact looks whether the bytes of a message, or of its answer, are those that go with it.
func (w *simWorld) intact(what string, id uint64, pad []byte) {
	if id != 0 && !bytes.Equal(pad, simPad(id, len(pad))) {
		w.violate("bytes", "%s %d: its %d bytes are others", what, id, len(pad))
	}
}

// lend makes a call with so many bytes from the script of an actor, and goes on. Neither end keeps
// anything of what it is given.
func (a *simActor) lend(to string, size int) {
	w := a.w
	a.then(func(ctx context.Context) {
		w.work.Go(func() {
			m := w.message(ctx, 'c', a.name, fmt.Sprint("lends ", to, size), to)
			var answer simAnswer
			body := append(binary.BigEndian.AppendUint64(nil, m.id), simPad(m.id, size)...)
			err := simLend.CallLent(ctx, actor.To(to), body, func(b []byte) error {
				answer.ID = binary.BigEndian.Uint64(b)
				w.intact("the answer to", m.id, b[8:])
				return nil
			})
			w.mu.Lock()
			answer.By = m.by // which the bytes do not say
			w.mu.Unlock()
			w.end(m, &answer, err)
		})
	})
}

// lent is simLend's handler.
func (s *simState) lent(ctx context.Context, b []byte) ([]byte, error) {
	id := binary.BigEndian.Uint64(b)
	s.startedAs(id, actor.Attempt(ctx))
	s.sentBy(ctx, id)
	s.w.intact("what was lent with", id, b[8:])
	return b, nil
}

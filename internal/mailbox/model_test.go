package mailbox

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// item is a message of the model: every one is different.
type item struct{ id, size int }

// model is the queue as one would write it without a thought for speed: a slice
// for each lane, and the charges added up anew each time they are asked for.
type model struct {
	front, data []item
	away        []item // left the queue, not yet released
}

func (m *model) charged() (messages, bytes int) {
	for _, list := range [][]item{m.front, m.data, m.away} {
		for _, it := range list {
			messages++
			bytes += it.size
		}
	}
	return messages, bytes
}

func (m *model) push(it item, l Limits, force bool) bool {
	messages, bytes := m.charged()
	fits := bytes+it.size <= l.Bytes
	alone := it.size > l.Bytes && len(m.front)+len(m.data) == 0 && bytes <= l.Bytes
	if !force && (messages >= l.Messages || !fits && !alone) {
		return false
	}
	m.data = append(m.data, it)
	return true
}

// pop takes the first of the first lane given that has one.
func (m *model) pop(lanes ...*[]item) (item, bool) {
	for _, lane := range lanes {
		if len(*lane) > 0 {
			it := (*lane)[0]
			*lane = slices.Clone((*lane)[1:])
			m.away = append(m.away, it)
			return it, true
		}
	}
	return item{}, false
}

func (m *model) remove(id int) (item, bool) {
	for _, lane := range []*[]item{&m.front, &m.data} {
		if i := slices.IndexFunc(*lane, func(it item) bool { return it.id == id }); i >= 0 {
			it := (*lane)[i]
			*lane = slices.Delete(*lane, i, i+1)
			m.away = append(m.away, it)
			return it, true
		}
	}
	return item{}, false
}

func (m *model) all() []item { return slices.Concat(m.front, m.data) }

// run does what steps say, byte by byte, to a queue and to the model, and stops
// where they differ.
func run(steps []byte, l Limits) error {
	var memory Chunks[item]
	var q Queue[item]
	q.Share(&memory)
	var m model
	var held Run[item] // of the queue, while other things are done to that
	var wantHeld []item
	for n, step := range steps {
		arg := int(step >> 4)
		it := item{id: n, size: arg * arg}
		same := func(what string, got item, gotOK bool, want item, wantOK bool) error {
			if got != want || gotOK != wantOK {
				return fmt.Errorf("step %d, %s: got %v %v, want %v %v", n, what, got, gotOK, want, wantOK)
			}
			return nil
		}
		var err error
		switch step & 15 {
		case 0, 1, 2, 5:
			err = same("push", item{}, q.Push(&it, it.size, l, false), item{}, m.push(it, l, false))
		case 3:
			// As if what is away first, and fits in the nibble, had been released.
			past := m.away[:min(arg, len(m.away))]
			bytes := 0
			for _, it := range past {
				bytes += it.size
			}
			rest := model{front: m.front, data: m.data, away: m.away[len(past):]}
			err = same("push past", item{}, q.PushPast(len(past), bytes, &it, it.size, l), item{}, rest.push(it, l, false))
			m.data = rest.data
		case 4:
			err = same("forced push", item{}, q.Push(&it, it.size, l, true), item{}, m.push(it, l, true))
		case 6:
			q.PushFront(&it, it.size)
			m.front = append(m.front, it)
		case 7:
			for i, want := range wantHeld {
				if got := *held.At(i); got != want {
					return fmt.Errorf("step %d: message %d of what was taken is now %v, was %v", n, i, got, want)
				}
			}
			q.Free(&held)
			wantHeld = nil
			waiting, most := q.Len(), 1+arg*5
			q.TakeRun(&held, most)
			if held.Len() > min(waiting, most, MaxRun) || waiting > 0 && held.Len() == 0 {
				return fmt.Errorf("step %d: took %d of %d, at most %d", n, held.Len(), waiting, most)
			}
			for i := range held.Len() {
				want, wantOK := m.pop(&m.front, &m.data)
				err = cmp.Or(err, same("pop of many", *held.At(i), true, want, wantOK))
				wantHeld = append(wantHeld, want)
			}
		case 8, 9, 11:
			got, ok := q.Pop()
			want, wantOK := m.pop(&m.front, &m.data)
			err = same("pop", got, ok, want, wantOK)
		case 10:
			got, ok := q.PopFront()
			want, wantOK := m.pop(&m.front)
			err = same("pop of what overtakes", got, ok, want, wantOK)
		case 12: // one that waits, or one that never was
			id := -1
			if waiting := m.all(); len(waiting) > 0 {
				id = waiting[(n*7+arg)%len(waiting)].id
			}
			got, ok := q.Remove(func(it item) bool { return it.id == id })
			want, wantOK := m.remove(id)
			err = same("remove", got, ok, want, wantOK)
		case 13, 14:
			if len(m.away) > 0 {
				i := arg % len(m.away)
				q.Release(1, m.away[i].size)
				m.away = slices.Delete(m.away, i, i+1)
			}
		case 15:
			if arg > 0 {
				q.Trim()
				break
			}
			var got []item
			q.Drain(func(it item) { got = append(got, it) })
			if want := m.all(); !slices.Equal(got, want) {
				err = fmt.Errorf("step %d, drain: got %v, want %v", n, got, want)
			}
			m.away = slices.Concat(m.away, m.front, m.data)
			m.front, m.data = nil, nil
		}
		if err != nil {
			return err
		}
		messages, bytes := q.Charged()
		wantMessages, wantBytes := m.charged()
		if messages != wantMessages || bytes != wantBytes || q.Len() != len(m.all()) {
			return fmt.Errorf("step %d: charged %d, %d and %d wait; want %d, %d and %d",
				n, messages, bytes, q.Len(), wantMessages, wantBytes, len(m.all()))
		}
	}
	return nil
}

func TestAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		steps := make([]byte, 1500)
		// Rounds that mostly push take turns with rounds that mostly pop, so that
		// the lanes grow, and empty themselves.
		for i := range steps {
			steps[i] = byte(random.Uint32())
			if kind := steps[i] & 15; i/300%2 == 0 && kind >= 7 && kind <= 11 && random.IntN(3) > 0 {
				steps[i] &^= 15
			}
			if steps[i]&15 == 15 && random.IntN(20) > 0 {
				steps[i] |= 16
			}
		}
		l := Limits{Messages: 1 + random.IntN(400), Bytes: 1 + random.IntN(20000)}
		if err := run(steps, l); err != nil {
			t.Errorf("seed %d, %+v: %v", seed, l, err)
		}
	}
}

func FuzzAgainstModel(f *testing.F) {
	f.Add([]byte{0x10, 0x20, 0x06, 0x05, 0x07, 0x0c, 0x0d, 0x0f, 0x1f}, uint16(4), uint16(10))
	f.Add([]byte{0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x07, 0x07, 0x07, 0x10, 0x10, 0x0c, 0x0b, 0x0d}, uint16(100), uint16(100))
	f.Add([]byte{0xf0, 0x07, 0xf0, 0x0d, 0x06, 0x0b, 0x0a}, uint16(1), uint16(1))
	f.Fuzz(func(t *testing.T, steps []byte, messages, bytes uint16) {
		if len(steps) > 2000 {
			return // the model is slow
		}
		if err := run(steps, Limits{Messages: 1 + int(messages), Bytes: 1 + int(bytes)}); err != nil {
			t.Fatal(err)
		}
	})
}

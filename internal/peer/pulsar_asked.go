package peer

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// What is asked over a pulsar connection, and by which ack its answer is known: that of the
// other end, and our own.

// question is a request of the other end that waits for its answer.
type question struct {
	ack  string
	kind questionKind
	aid  string // of who was asked to be spawned, or killed
	name string
	wait time.Duration // how long its asker waits; 0: as for all
}

// questionKind says what is to be made of the answer.
type questionKind uint8

const (
	plainQuestion questionKind = iota
	spawnQuestion              // an ActorProxy
	killQuestion               // "killed AID"
)

// maxQuestions is how many requests of one pulsar peer may be in flight.
const maxQuestions = 1 << 17

// questions are those in flight, by the id their Conn knows them by. An ack is
// answered once, so two with the same one are one.
type questions struct {
	mu     sync.Mutex
	serial uint64
	open   map[uint64]question
	acks   map[string]struct{}
}

var (
	errAckTwice      = errors.New("its ack is that of another request in flight")
	errManyQuestions = errors.New("too many requests are in flight")
)

// add notes q and returns its id.
func (s *questions) add(q question) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open, s.acks = make(map[uint64]question), make(map[string]struct{})
	}
	if _, twice := s.acks[q.ack]; twice {
		return 0, errAckTwice
	}
	if len(s.open) >= maxQuestions {
		return 0, errManyQuestions
	}
	s.serial++
	s.open[s.serial] = q
	s.acks[q.ack] = struct{}{}
	return s.serial, nil
}

// take takes a question out: whoever has it answers it.
func (s *questions) take(id uint64) (question, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.open[id]
	if ok {
		delete(s.open, id)
		delete(s.acks, q.ack)
	}
	return q, ok
}

// An ack of ours is the id of the call, after a letter that says in which codec the
// result is wanted.
const (
	pickleAck = 'p'
	cborAck   = 'c'
	notifyAck = 'n' // of a notify; nobody waits for its answer …

	firstNotify = "n0" // … but for the first one's
)

func appendAck(dst []byte, id uint64, c wire.Codec) []byte {
	letter := byte(cborAck)
	if c == wire.CodecPickle {
		letter = pickleAck
	}
	return strconv.AppendUint(append(dst, letter), id, 10)
}

func parseAck(ack string) (id uint64, c wire.Codec, ok bool) {
	if len(ack) < 2 || len(ack) > 20 || ack[1] == '0' {
		return 0, 0, false
	}
	switch ack[0] {
	case pickleAck:
		c = wire.CodecPickle
	case cborAck:
		c = wire.CodecCBOR
	default:
		return 0, 0, false
	}
	id, err := strconv.ParseUint(ack[1:], 10, 64)
	return id, c, err == nil && id <= wire.MaxID
}

package peer

import (
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// spawnArgs are what the arbiter's spawn is asked for: see actor.SpawnArgs.
type spawnArgs struct {
	In   string   `cbor:"in"`
	Kind string   `cbor:"kind,omitempty"`
	Name string   `cbor:"name,omitempty"`
	AID  string   `cbor:"aid,omitempty"`
	Env  []string `cbor:"env,omitempty"`

	HeartbeatTimeout time.Duration `cbor:"heartbeatTimeout,omitempty"`
}

// leastTimeout is the shortest silence that ends an actor which was spawned with a timeout: it
// notifies every 0.3 timeouts, and every 3 s at most.
const leastTimeout = 10 * time.Second

// EnvPulsarParams is where a program that is spawned for a pulsar actor finds with
// what: the keyword arguments of spawn as a pickle in base64.
const EnvPulsarParams = "ARBITER_PULSAR_PARAMS"

// spawn asks for a new actor, with the aid its spawner has chosen.
func (p *Pulsar) spawn(m *wire.Message, r *wire.PulsarMessage, q *question) error {
	q.kind = spawnQuestion
	a := spawnArgs{In: "pulsar"}
	a.AID, _ = r.Text(-1, "aid")
	q.aid = a.AID
	if q.name, _ = r.Text(-1, "name"); q.name == "" {
		q.name = "actor"
	} else if wire.ValidName(q.name) == nil && !forArbiter(q.name) {
		a.Kind, a.Name = q.name, q.name
	}
	if d, ok := r.Seconds(-1, "timeout"); ok && d > 0 {
		a.HeartbeatTimeout = max(d, leastTimeout)
	}
	params, err := r.Params()
	if err != nil {
		return err
	}
	a.Env = []string{EnvPulsarParams + "=" + params}
	m.Codec = wire.CodecCBOR
	m.Body, err = wire.Encode(wire.CodecCBOR, nil, &a)
	return err
}

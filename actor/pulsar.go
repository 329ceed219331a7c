package actor

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/arbiter-go/arbiter/internal/peer"
)

// pulsar returns t as the connection to a real arbiter of Python's pulsar.
func (m *Member) pulsar(t peer.Transport) peer.Transport {
	aid := m.options.AID
	if aid == "" {
		aid = pulsarAID()
	}
	return peer.NewPulsar(t, peer.PulsarOptions{AID: aid, Logger: m.log})
}

// pulsarAID makes an aid as pulsar does: i and seven hexadecimal digits.
func pulsarAID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails: see crypto/rand
	return "i" + hex.EncodeToString(b[:])[1:]
}

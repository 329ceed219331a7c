package actor

import (
	"testing"

	"github.com/arbiter-go/arbiter/internal/floors"
)

func TestFloors(t *testing.T) {
	floors.Check(t, "internal/cell", "internal/mailbox", "internal/peer", "internal/proc", "internal/wire", "supervise")
}

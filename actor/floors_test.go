package actor

import (
	"testing"

	"github.com/arbiter-go/arbiter/internal/floors"
)

func TestFloors(t *testing.T) {
	floors.Check(t, "internal/cell", "internal/peer", "internal/wire", "internal/mailbox")
}

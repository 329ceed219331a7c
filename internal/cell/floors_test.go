package cell

import (
	"testing"

	"github.com/arbiter-go/arbiter/internal/floors"
)

func TestFloors(t *testing.T) {
	floors.Check(t, "internal/mailbox", "internal/parker", "internal/wire")
}

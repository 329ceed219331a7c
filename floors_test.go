package arbiter

import (
	"testing"

	"github.com/arbiter-go/arbiter/internal/floors"
)

func TestFloors(t *testing.T) {
	floors.Check(t, "actor", "internal/cell", "internal/peer", "internal/proc", "internal/wire", "internal/frame", "supervise", "golang.org/x/sys")
}

package peer

import (
	"testing"

	"github.com/arbiter-go/arbiter/internal/floors"
)

func TestFloors(t *testing.T) {
	floors.Check(t, "internal/frame", "internal/parker", "internal/wire", "internal/proc", "golang.org/x/sys")
}

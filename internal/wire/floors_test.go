package wire

import (
	"testing"

	"github.com/arbiter-go/arbiter/internal/floors"
)

func TestFloors(t *testing.T) {
	floors.Check(t, "github.com/fxamacker/cbor/v2")
}

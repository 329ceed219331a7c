package parker

import (
	"testing"

	"github.com/arbiter-go/arbiter/internal/floors"
)

func TestFloors(t *testing.T) { floors.Check(t, "golang.org/x/sys") }

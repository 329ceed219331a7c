package cli

import (
	"testing"

	"github.com/arbiter-go/arbiter/internal/floors"
)

func TestFloors(t *testing.T) {
	floors.Check(t, ".", "actor", "internal/proc", "internal/wire", "sdk/python", "supervise", "websocket", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/sys/unix")
}

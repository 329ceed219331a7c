package arbiter

import (
	"strconv"
	"strings"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// bounds are an actor.Bounds that was looked at.
type bounds struct {
	rlimits []proc.Rlimit
	user    *proc.User
}

// boundsOf refuses what cannot be meant.
func boundsOf(b *actor.Bounds) (out bounds, failed *wire.Error) {
	if b == nil {
		return out, nil
	}
	if b.Memory < 0 || b.Processes < 0 {
		return out, invalid("bounds: memory and processes must not be negative")
	}
	for name, v := range b.Rlimits {
		out.rlimits = append(out.rlimits, proc.Rlimit{Name: name, Soft: v, Hard: v})
	}
	if b.Umask != nil && (*b.Umask < 0 || *b.Umask > 0o777) {
		return out, invalid("bounds: the umask %#o is not one of 0 to 0777", *b.Umask)
	}
	if b.User == "" {
		return out, nil
	}
	uid, gid, both := strings.Cut(b.User, ":")
	u, err := strconv.ParseUint(uid, 10, 31)
	if !both {
		gid = uid
	}
	g, err2 := strconv.ParseUint(gid, 10, 31)
	if err != nil || err2 != nil {
		return out, invalid("bounds: the user %q is not UID or UID:GID, in numbers", b.User)
	}
	out.user = &proc.User{UID: int(u), GID: int(g)}
	return out, nil
}

// applyBounds puts b into spec.
func applyBounds(spec *proc.Spec, b *actor.Bounds) *wire.Error {
	checked, failed := boundsOf(b)
	if failed != nil || b == nil {
		return failed
	}
	spec.Memory, spec.Processes = b.Memory, b.Processes
	spec.Rlimits, spec.User, spec.Umask, spec.Nice = checked.rlimits, checked.user, b.Umask, b.Nice
	return nil
}

package cli

import (
	"context"
	"time"
)

// followWait is how long one request of those that follow something waits for news.
const followWait = 20 * time.Second

// follow calls next again and again, each time with the time it takes to wait for
// news, until the user has seen enough or the arbiter is gone.
func (a *app) follow(ctx context.Context, at *attached, next func(ctx context.Context) error) error {
	for {
		each, cancel := context.WithTimeout(ctx, followWait+a.timeout)
		err := next(each)
		cancel()
		switch {
		case err == nil:
		case interrupted(ctx):
			return interruptedQuietly()
		case at.gone(err):
			return noArbiter("the arbiter has ended").hint("see which are there", a.program+" ps")
		default:
			return err
		}
	}
}

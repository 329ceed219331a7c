package cli

import (
	"context"
	"errors"
	"os"
	"time"
)

// followWait is how long one request of those that follow something waits for news.
const followWait = 20 * time.Second

// unreadWait is how often those that follow look whether somebody still reads.
const unreadWait = 250 * time.Millisecond

// errUnread is the cause of a context that ended because nobody reads any more.
var errUnread = errors.New("nobody reads standard output any more")

// follow calls next again and again, each time with the time it takes to wait for
// news, until the user has seen enough or the arbiter is gone. Who reads may have seen
// enough, too: after | head -1 there may be no news for hours to find that out by.
func (a *app) follow(ctx context.Context, at *attached, next func(ctx context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		a.look(ctx, stop)
	}()
	defer func() {
		stop(nil)
		<-looked
	}()
	for {
		each, cancel := context.WithTimeout(ctx, followWait+a.timeout)
		err := next(each)
		cancel()
		switch {
		case context.Cause(ctx) == errUnread:
			return nil
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

// look ends ctx by stop when standard output is a pipe that nobody reads any more.
func (a *app) look(ctx context.Context, stop context.CancelCauseFunc) {
	out, ok := a.out.(*os.File)
	if !ok {
		return
	}
	ticker := time.NewTicker(unreadWait)
	defer ticker.Stop()
	for !unread(out) {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	stop(errUnread)
}

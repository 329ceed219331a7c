package arbiter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/proc"
)

// envKind says of what kind a child is.
const envKind = "ARBITER_KIND"

// ChildHook is the proof that a program can be started again as one of its actors.
type ChildHook struct {
	kinds []string
	self  *proc.Self
}

// Child is to be called first thing in main, by programs that do not use Main. In
// a process that an arbiter started as an actor it runs that actor, one of kinds,
// and never returns. Elsewhere it returns what Options.Child needs.
func Child(kinds ...actor.Behaviour) *ChildHook {
	for n, k := range kinds {
		if k == nil {
			panic(fmt.Sprintf("arbiter: of the kinds given to Main or Child number %d is nil", n+1))
		}
	}
	self := proc.Hook()
	name := os.Getenv(envKind)
	if os.Getenv(actor.EnvFD) == "" || name == "" {
		hook := &ChildHook{self: self}
		for _, k := range kinds {
			hook.kinds = append(hook.kinds, k.KindName())
		}
		return hook
	}
	os.Exit(runChild(name, kinds))
	return nil
}

// The exit codes of a child.
const (
	exitFailed = 1 // its actor ended otherwise than by being asked to
	exitUsage  = 2 // it is not the program its arbiter takes it for
)

// deathWatch is how long a child whose arbiter is gone may still take: whatever
// hangs in it then ends with it.
const deathWatch = 900 * time.Millisecond

// runChild runs the actor this process was started as.
func runChild(name string, kinds []actor.Behaviour) int {
	address := "fd:" + os.Getenv(actor.EnvFD)
	// What it starts itself is not this actor.
	for _, v := range []string{actor.EnvFD, envKind} {
		if err := os.Unsetenv(v); err != nil {
			fmt.Fprintln(os.Stderr, "arbiter:", err)
			return exitUsage
		}
	}
	// A terminal's interrupt is for the arbiter, which then stops its children. It is taken,
	// not ignored: what is ignored, programs that the actor starts inherit.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	for _, k := range kinds {
		if k.KindName() != name {
			continue
		}
		m := actor.NewMember(address, k, actor.JoinOptions{})
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		go func() {
			<-m.Lost()
			time.Sleep(deathWatch)
			os.Exit(exitFailed)
		}()
		err := m.Serve(ctx)
		if own := (*actor.DownError)(nil); err != nil && !errors.As(err, &own) { // its own end it has told its arbiter
			fmt.Fprintln(os.Stderr, "arbiter:", err)
		}
		if err != nil {
			return exitFailed
		}
		return 0
	}
	fmt.Fprintf(os.Stderr, "arbiter: this program was started as the actor kind %q, which is not among those given to arbiter.Main or arbiter.Child\n", name)
	return exitUsage
}

// Main is a whole main function: it starts an arbiter with the default options, a
// control socket and kinds, calls run, stops the arbiter and exits: with 0 if run
// returned nil, or the error of a ctx that has ended, and every actor stopped as
// asked; else with 1, and on standard error run's error, or who had to be killed. ctx is the
// arbiter's own (see Arbiter.Context) and ends as that of SignalContext does, and when
// the arbiter has stopped, as after "arbiter stop arbiter".
//
// So run is to return when ctx ends, also where it waits for something that knows nothing of
// it, such as http.ListenAndServe: have an http.Server then, and context.AfterFunc close it. A
// run that has not returned 10 s after ctx ended is not waited for any longer: that is said on
// standard error, the arbiter is stopped in order, and the program exits with 1.
//
// The program goes on when those are gone who read what it prints, as after
// "program | head": else SIGPIPE would end it at once, and kill every actor. What it
// prints to its standard output then fails, with syscall.EPIPE; a run that is of no use
// unread returns that error, and everything is stopped in order. signal.Reset(syscall.SIGPIPE)
// in run has it end by SIGPIPE all the same.
//
// In a process the arbiter started as one of its actors Main runs that actor
// instead.
func Main(run func(ctx context.Context, arb *Arbiter) error, kinds ...actor.Behaviour) {
	hook := Child(kinds...)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // taken, not ignored: what is ignored, children inherit
	os.Exit(runMain(run, Options{Child: hook, Kinds: kinds, Control: controlSupported}))
}

func runMain(run func(ctx context.Context, arb *Arbiter) error, options Options) int {
	ctx, stop := SignalContext(context.Background())
	defer stop()
	arb, err := Start(ctx, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "arbiter:", err)
		return 1
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-arb.Done() // which Stop, below, sees to
		cancel()
	}()
	returned, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		leaveDeaf(ctx, arb, returned)
	}()
	err = run(arb.Context(ctx), arb) // on this goroutine, which may be the main thread's
	close(returned)
	code := 0
	if stopErr := arb.Stop(context.WithoutCancel(ctx)); stopErr != nil {
		fmt.Fprintln(os.Stderr, "arbiter:", stopErr)
		code = 1 // what was killed has not finished what it had
	}
	<-ended
	if err != nil && !(errors.Is(err, context.Canceled) && ctx.Err() != nil) {
		fmt.Fprintln(os.Stderr, "arbiter:", err)
		code = 1
	}
	<-watched
	return code
}

// leaveDeaf ends the program if its run has not returned in time after ctx has ended: nobody
// else would, as the signal that ended ctx is taken.
func leaveDeaf(ctx context.Context, arb *Arbiter, returned <-chan struct{}) {
	<-ctx.Done()
	limit := arb.options.StopTimeout
	select {
	case <-returned:
		return
	case <-time.After(limit):
	}
	fmt.Fprintf(os.Stderr, "arbiter: the program was asked to stop, and the function given to arbiter.Main has not returned after %v: "+
		"it is to return when its ctx ends, and to end then what it waits for, as by Shutdown of an http.Server; all is stopped without it\n", limit)
	if err := arb.Stop(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "arbiter:", err)
	}
	os.Exit(1)
}

// SignalContext returns a context that ends at the first SIGINT, SIGTERM, SIGQUIT or
// SIGABRT. A second SIGINT exits the program at once, with 130; the others are not
// made more urgent by being sent twice, as service managers do.
//
// The function it returns ends the context, too, and the program has its signals back.
func SignalContext(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	stop, stopped := make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGABRT)
	go func() {
		defer close(stopped)
		defer signal.Stop(signals)
		select {
		case <-signals:
			cancel()
		case <-stop:
			return
		case <-parent.Done():
			return
		}
		for {
			select {
			case s := <-signals:
				if s == os.Interrupt {
					os.Exit(130)
				}
			case <-stop:
				return
			case <-parent.Done():
				return
			}
		}
	}()
	return ctx, sync.OnceFunc(func() {
		cancel()
		close(stop)
		<-stopped
	})
}

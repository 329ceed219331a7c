package supervise_test

import (
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/supervise"
)

// A worker that cannot start: the group says when to try again, and when to stop
// trying. Jitter is off here, so that the waits are round.
func Example() {
	group, err := supervise.NewGroup(supervise.Policy{Jitter: -1}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)
	for {
		d := group.Ended("web/1", supervise.End{At: now, Failed: true})
		fmt.Println(d.Action, d.After, "-", d.Reason)
		if d.Action == supervise.GiveUp {
			break
		}
		now = now.Add(d.After) // instead of waiting
	}
	// Output:
	// start 200ms - 1 crash within 1m
	// start 400ms - 2 crashes within 1m
	// start 800ms - 3 crashes within 1m
	// start 1.6s - 4 crashes within 1m
	// give-up 0s - 5 crashes within 1m
}

// A pool goes on while one of its workers does.
func ExampleGroup_Add() {
	group, err := supervise.NewGroup(supervise.Policy{MaxCrashes: 2, Jitter: -1}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	group.Add("web/1")
	group.Add("web/2")
	now := time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)
	crash := func(name string) {
		d := group.Ended(name, supervise.End{At: now, Failed: true})
		fmt.Printf("%s: %s, %s\n", name, d.Action, d.Reason)
		now = now.Add(time.Second)
	}
	crash("web/1")
	crash("web/1")
	crash("web/2")
	crash("web/2")
	// Output:
	// web/1: start, 1 crash within 1m
	// web/1: start, 2 crashes within 1m, but of the group 1 other is well
	// web/2: start, 1 crash within 1m
	// web/2: give-up, 2 crashes within 1m, and of the group 1 other is failing too
}

// With one for all, children that fall together are one crash.
func ExampleGroup_Ended_oneForAll() {
	group, err := supervise.NewGroup(supervise.Policy{Strategy: supervise.OneForAll, Jitter: -1}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{"reader", "parser", "writer"} {
		d := group.Ended(name, supervise.End{At: now, Lived: time.Hour, Failed: true})
		fmt.Printf("%s: %s in %v, %s\n", name, d.Action, d.After, d.Reason)
		now = now.Add(50 * time.Millisecond)
	}
	// Output:
	// reader: start-all in 200ms, 1 crash within 1m
	// parser: start in 150ms, fell with the group
	// writer: start in 100ms, fell with the group
}

// All mistakes of a policy are told at once.
func ExamplePolicy_Validate() {
	err := supervise.Policy{MinBackoff: -time.Second, MaxCrashes: 5000}.Validate()
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		fmt.Println(e)
	}
	// Output:
	// supervise: MinBackoff is -1s: want a positive duration, or 0 for the default, 200ms
	// supervise: MaxCrashes is 5000: want 1 to 1000, 0 for the default, 5, or a negative number for no limit
}

func ExampleParseRestart() {
	r, err := supervise.ParseRestart("always")
	fmt.Println(r, err)
	_, err = supervise.ParseRestart("sometimes")
	fmt.Println(err)
	// Output:
	// always <nil>
	// supervise: unknown restart "sometimes": want on-failure, always or never
}

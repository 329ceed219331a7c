package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// crowd is a program with many actors that joined.
type crowd struct {
	kind    *actor.Kind[*crowd]
	random  *rand.Rand // used by one op at a time
	members []*actor.Member
	touched atomic.Int64
	names   []string // whom a relayed call may go to
	paced   *pace
	left    strangers
}

// Commands of the crowd's actors.
var (
	echo  = actor.NewCommand[[]byte, []byte]("echo")
	slow  = actor.NewCommand[[]byte, actor.None]("slow") // takes slowness, one at a time
	relay = actor.NewCommand[[]int, actor.None]("relay") // calls on, the rest of the way
)

// slowness is how long the handler of slow takes.
const slowness = time.Millisecond

func newCrowd(p post) (map[string]op, func()) {
	c := &crowd{random: rand.New(rand.NewPCG(p.Seed, uint64(len(p.Name))<<32+uint64(p.Name[len(p.Name)-1])))}
	c.kind = &actor.Kind[*crowd]{
		Name: "crowd",
		New:  func(context.Context) (*crowd, error) { return c, nil },
		Handlers: []actor.Handler[*crowd]{
			actor.Handle(echo, func(_ *crowd, _ context.Context, b []byte) ([]byte, error) { return b, nil }),
			actor.Handle(slow, func(_ *crowd, ctx context.Context, _ []byte) (actor.None, error) {
				select {
				case <-time.After(slowness):
				case <-ctx.Done():
				}
				return actor.None{}, nil
			}),
			actor.Handle(relay, (*crowd).relay),
			actor.On(touch, func(c *crowd, _ context.Context, _ actor.None) error { c.touched.Add(1); return nil }),
		},
	}
	return map[string]op{
		"join": does(c.join), "sample": does(takeSample), "call": does(c.call), "tell": does(c.tell),
		"touched": does(c.count), "mesh": does(c.mesh), "ask-pool": does(c.askPool), "pace": does(c.pace), "paced": does(c.pacedUntilNow),
		"strangers": does(c.strangers),
	}, c.end
}

// end has the connections end with the program: closing ten thousand one by one would
// only take longer.
func (c *crowd) end() {
	if c.paced != nil {
		c.paced.stop()
	}
	if len(c.members) <= 100 {
		var all sync.WaitGroup
		for _, m := range c.members {
			all.Go(func() { _ = m.Close() })
		}
		all.Wait()
	}
}

type joinArgs struct {
	Address, Prefix string // an actor's name is the prefix, and its number from 0
	Count, Parallel int
}

type joinResult struct {
	Again int // attempts that were refused and made again
}

// joinTries is how often one that is refused tries.
const joinTries = 20

func (c *crowd) join(ctx context.Context, in joinArgs) (joinResult, error) {
	c.members = make([]*actor.Member, in.Count)
	var next, again atomic.Int64
	err := each(max(in.Parallel, 1), func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= in.Count {
				return nil
			}
			for try := 1; ; try++ {
				m := actor.NewMember(in.Address, c.kind, actor.JoinOptions{Token: token, Name: name(in.Prefix, i), Logger: quiet})
				_, err := m.Ref(ctx)
				if err == nil {
					c.members[i] = m
					break
				}
				_ = m.Close()
				if try == joinTries {
					return fmt.Errorf("%s: %w", name(in.Prefix, i), err)
				}
				again.Add(1)
				time.Sleep(time.Duration(try) * 10 * time.Millisecond)
			}
		}
	})
	return joinResult{int(again.Load())}, err
}

func name(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i) }

// outcomeGrace is how much longer than its deadline the outcome of a call may take to be
// seen here, where everybody is busy, before there is none.
const outcomeGrace = 5 * time.Second

type callArgs struct {
	Target string
	Size   int
	Limit  time.Duration
}

// call has each actor make one call of slow, all at once.
func (c *crowd) call(ctx context.Context, in callArgs) (calls, error) {
	ctx, cancel := context.WithTimeout(ctx, in.Limit+outcomeGrace)
	defer cancel()
	body := make([]byte, in.Size)
	var l ledger
	var all sync.WaitGroup
	began := time.Now()
	for _, m := range c.members {
		l.begin()
		all.Go(func() {
			limited, cancel := context.WithTimeout(m.Context(context.Background()), in.Limit)
			defer cancel()
			began := time.Now()
			_, err := slow.Call(limited, actor.To(in.Target), body)
			l.end(err, time.Since(began))
		})
	}
	return l.close(ctx, &all, began), nil
}

type tellArgs struct {
	Prefixes []string
	Counts   []int // how many actors there are of each
	For      time.Duration
}

type tellResult struct {
	Sent int64
	Took time.Duration
}

// tell has the first actor send to all of them, again and again.
func (c *crowd) tell(_ context.Context, in tellArgs) (r tellResult, err error) {
	ctx := c.members[0].Context(context.Background())
	var targets []actor.Ref
	for n, prefix := range in.Prefixes {
		for i := range in.Counts[n] {
			targets = append(targets, actor.To(name(prefix, i)))
		}
	}
	began := time.Now()
	for r.Sent == 0 || time.Since(began) < in.For {
		for _, to := range targets {
			if err := touch.Send(ctx, to, actor.None{}); err != nil {
				return r, fmt.Errorf("to %s: %w", to, err)
			}
			r.Sent++
		}
	}
	r.Took = time.Since(began)
	return r, nil
}

// count returns how many messages the actors were sent by tell, once it is that many, or
// a while later.
func (c *crowd) count(_ context.Context, wanted int64) (int64, error) {
	for limit := time.Now().Add(10 * time.Second); c.touched.Load() < wanted && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	return c.touched.Load(), nil
}

type meshArgs struct {
	Names    []string
	InFlight int // of each actor
	Relays   int // 0: echoes; else how many actors a call goes through
	For      time.Duration
	Limit    time.Duration // of a call
}

// mesh has each actor call others, at random.
func (c *crowd) mesh(ctx context.Context, in meshArgs) (calls, error) {
	ctx, cancel := context.WithTimeout(ctx, in.For+in.Limit+outcomeGrace)
	defer cancel()
	c.names = in.Names
	var l ledger
	var all sync.WaitGroup
	began := time.Now()
	for _, m := range c.members {
		for range in.InFlight {
			random := rand.New(rand.NewPCG(c.random.Uint64(), c.random.Uint64()))
			all.Go(func() {
				body := make([]byte, 64)
				for time.Since(began) < in.For {
					limited, cancel := context.WithTimeout(m.Context(context.Background()), in.Limit)
					l.begin()
					before := time.Now()
					var err error
					to := actor.To(in.Names[random.IntN(len(in.Names))])
					if in.Relays == 0 {
						_, err = echo.Call(limited, to, body)
					} else {
						way := make([]int, in.Relays)
						for i := range way {
							way[i] = random.IntN(len(in.Names))
						}
						_, err = relay.Call(limited, to, way)
					}
					l.end(err, time.Since(before))
					cancel()
				}
			})
		}
	}
	return l.close(ctx, &all, began), nil
}

// relay calls the next on the way. The error of that call is told as it is: its code is
// what counts.
func (c *crowd) relay(ctx context.Context, way []int) (actor.None, error) {
	if len(way) == 0 {
		return actor.None{}, nil
	}
	_, err := relay.Call(ctx, actor.To(c.names[way[0]]), way[1:])
	return actor.None{}, err
}

// pace is calls one after the other, at most one each so often.
type pace struct {
	cancel context.CancelFunc
	ledger ledger
	all    sync.WaitGroup
	began  time.Time
}

type paceArgs struct {
	Target string
	Every  time.Duration
}

// paceLimit is the deadline of each of its calls.
const paceLimit = 10 * time.Second

func (c *crowd) pace(_ context.Context, in paceArgs) (none, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pace{cancel: cancel, began: time.Now()}
	c.paced = p
	p.all.Go(func() {
		body := make([]byte, 64)
		for ctx.Err() == nil {
			p.ledger.begin()
			limited, cancel := context.WithTimeout(c.members[0].Context(context.Background()), paceLimit)
			began := time.Now()
			_, err := echo.Call(limited, actor.To(in.Target), body)
			p.ledger.end(err, time.Since(began))
			cancel()
			select {
			case <-time.After(in.Every - time.Since(began)):
			case <-ctx.Done():
			}
		}
	})
	return none{}, nil
}

func (p *pace) stop() calls {
	p.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), paceLimit+outcomeGrace)
	defer cancel()
	return p.ledger.close(ctx, &p.all, p.began)
}

func (c *crowd) pacedUntilNow(context.Context, none) (calls, error) {
	p := c.paced
	if p == nil {
		return calls{}, errors.New("it calls nobody")
	}
	c.paced = nil
	return p.stop(), nil
}

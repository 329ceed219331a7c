package arbiter

import (
	"context"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// maxCommands is how many of its commands the arbiter works on at a time. Most of
// them wait, for a start or for events.
const maxCommands = 1024

// maxUrgent is how many further ones, of those commands by which people see what goes
// on, and end or mend it: whoever fills the places of the others is to be found.
const maxUrgent = 64

// reserveFor keeps places for them.
func reserveFor(spec *cell.Spec) {
	spec.Reserve = maxUrgent
	for _, name := range []string{actor.Ps.Name(), actor.InspectActor.Name(), actor.DeadLetters.Name(), actor.KillActor.Name(), actor.StopActor.Name(), actor.ScalePool.Name()} {
		c := *spec.Commands[name]
		c.Urgent = true
		spec.Commands[name] = &c
	}
}

// arbiterKind is the behaviour of the actor "arbiter".
func arbiterKind(a *Arbiter) actor.Behaviour {
	type none = actor.None
	return &actor.Kind[*Arbiter]{
		Name: "arbiter",
		Doc:  "owns the actors and carries their messages",
		Mode: actor.Concurrent(maxCommands),
		New:  func(context.Context) (*Arbiter, error) { return a, nil },
		Handlers: []actor.Handler[*Arbiter]{
			actor.Handle(actor.SpawnActor, func(a *Arbiter, ctx context.Context, args actor.SpawnArgs) (actor.Ref, error) {
				by, failed := a.spawner(ctx)
				if failed != nil {
					return actor.Ref{}, failed
				}
				return a.spawn(ctx, by, &args)
			}),
			actor.Handle(actor.KillActor, (*Arbiter).killActor),
			actor.Handle(actor.SpawnPool, (*Arbiter).spawnPool),
			actor.Handle(actor.ScalePool, (*Arbiter).scale),
			actor.Handle(actor.RestartActor, (*Arbiter).restart),
			actor.Handle(actor.StopActor, (*Arbiter).stopActor),
			actor.Handle(actor.StartActor, (*Arbiter).startActor),
			actor.Handle(actor.InspectActor, (*Arbiter).inspect),
			actor.Handle(actor.Logs, func(a *Arbiter, ctx context.Context, args actor.LogsArgs) (actor.LogLines, error) {
				return a.journal.wait(ctx, args)
			}),
			actor.Handle(actor.Ps, func(a *Arbiter, _ context.Context, _ none) ([]actor.Info, error) { return a.ps(), nil }),
			actor.Handle(actor.Events, func(a *Arbiter, ctx context.Context, args actor.EventsArgs) ([]actor.Event, error) {
				return a.events.wait(ctx, args)
			}),
			actor.Handle(actor.DeadLetters, func(a *Arbiter, _ context.Context, _ none) ([]actor.DeadLetter, error) {
				return a.dead.list(), nil
			}),
		},
	}
}

// killActor answers the command kill_actor.
func (a *Arbiter) killActor(ctx context.Context, target actor.Ref) (actor.Death, error) {
	address := target.AID
	if address == "" {
		address = target.Name
	}
	i := a.resolve([]byte(address))
	reason := "asked to"
	from, ok := actor.Caller(ctx)
	if ok {
		reason = "asked to by " + from.String()
	}
	death := &wire.Death{Cause: wire.CauseKilled, Reason: reason}
	end := func(i *incarnation) { i.kill(death) }
	asks := a.isPulsar(from.AID)
	if asks {
		end = func(i *incarnation) { i.stop(reason) } // which is what pulsar's means: its hooks run, and who does not end goes on
	}
	if i == nil {
		s := a.slotNamed(address)
		if s == nil || s.row.pool != nil || asks && len(s.row.living()) == 0 { // a stop frees no name
			return actor.Death{}, a.unknownActor(address)
		}
		d, err := s.free(ctx, end, death)
		if err != nil {
			return actor.Death{}, err
		}
		return actorDeath(d), nil
	}
	if i == a.self {
		return actor.Death{}, wire.Errorf(wire.CodeRefused, "the arbiter is not killed by a message: send it the command stop").NotStarted()
	}
	if i.slot != nil && address != i.aid && !i.embryoless() {
		if before := i.slot.namesake(); before != nil {
			i = before // which is what lives of that name
		}
	}
	end(i)
	select {
	case <-i.ended.until():
	case <-ctx.Done():
		return actor.Death{}, ctx.Err()
	}
	return actorDeath(i.death), nil
}

// isPulsar reports whether aid is, or was, a real actor of pulsar: who asks one way may have ended
// before it is heard.
func (a *Arbiter) isPulsar(aid string) bool {
	if i := a.registry.get(aid); i != nil {
		return i.pulsar
	}
	d := a.dead.find(aid) // after that: who is not found any more is remembered
	return d != nil && d.pulsar
}

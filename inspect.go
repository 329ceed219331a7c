package arbiter

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// info is what ps says of i.
func (i *incarnation) info() actor.Info { return i.infoWith(i.inquire()) }

// inquire has i asked what its kind's Info says, if it is of this process and there is one.
func (i *incarnation) inquire() *cell.Inquiry {
	if i.cell == nil {
		return nil
	}
	return i.cell.Inquire()
}

// infoWith is info, with what q comes to.
func (i *incarnation) infoWith(q *cell.Inquiry) actor.Info {
	info := actor.Info{
		AID: i.aid, Name: i.name, Kind: i.kind(), State: i.lifeState().String(), Mode: cell.Mode(i.mode.Load()).String(),
		In: placeNames[i.place], PID: os.Getpid(), Uptime: time.Since(i.born()), InFlight: i.calls().Len(),
	}
	if i.cell != nil {
		i.describeCell(&info, q)
	} else {
		i.session.describe(&info)
	}
	if p := i.process.Load(); p != nil {
		info.PID = p.PID()
		if u, ok := p.Usage(); ok {
			info.RSS, info.CPU = u.RSS, u.CPU
		}
	} else if i.inOwnProcess() {
		info.PID = 0
	}
	if i.slot != nil {
		s := i.slot.info()
		info.Restarts, info.Last = s.Restarts, lastLineOnly(s.Last)
		if s.AID == i.aid && s.State == "waiting" {
			info.State = s.State
			info.Reason = "is started in " + roughly(s.Waits)
			if s.Last != nil {
				info.Reason += ": it " + s.Last.String()
			}
		}
	}
	if i.pool != nil {
		i.pool.describe(&info)
	}
	return info
}

// lastLineOnly is d without all but the last line of what it said: a list of actors
// has a death for each.
func lastLineOnly(d *actor.Death) *actor.Death {
	if d == nil || len(d.Stderr) < 2 {
		return d
	}
	c := *d
	c.Stderr = d.Stderr[len(d.Stderr)-1:]
	return &c
}

// roughly writes a time of which nobody wants to know more.
func roughly(d time.Duration) string {
	switch {
	case d > 10*time.Second:
		return d.Round(time.Second).String()
	case d > time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func (i *incarnation) describeCell(info *actor.Info, q *cell.Inquiry) {
	c := i.cell
	s := c.Status()
	info.Inbox, info.Oldest, info.Handling, info.Since = s.Waiting, s.Oldest, s.Handling, s.Since
	info.Accepted, info.Started, info.Refused = s.Accepted, s.Started, s.Refused
	info.Extra = q.Answer(cell.InfoPatience)
	if i.place == inGoroutine {
		info.Language = "go"
	}
	if i == i.arb.self {
		for what, n := range map[string]uint64{"leaked handlers": uint64(i.arb.leaks.count()), "refused connections": i.arb.refusals.total.Load()} {
			if n > 0 {
				if info.Extra == nil {
					info.Extra = make(map[string]any)
				}
				info.Extra[what] = n
			}
		}
		if u, ok := proc.OwnUsage(); ok {
			info.RSS, info.CPU = u.RSS, u.CPU
		}
	}
}

// describe adds how many workers there are.
func (p *pool) describe(info *actor.Info) {
	p.mu.Lock()
	info.Wanted = p.wanted
	p.mu.Unlock()
	p.row.mu.Lock()
	defer p.row.mu.Unlock()
	empty := make(map[string]int) // how many slots, by their state
	for _, s := range p.row.slots {
		if s.current == nil {
			empty[s.status]++
		} else if s.current.runs() {
			info.Workers++
		}
		if s.status == "failed" {
			info.Reason = s.reason
		}
	}
	if info.State != "running" {
		return
	}
	for status, n := range empty {
		if n == len(p.row.slots) {
			info.State = status
		}
	}
}

// inquiredAtOnce is how many actors a list has asked, each by its kind's Info, before it waits
// for the first: those that do not answer are waited for together.
const inquiredAtOnce = 64

// ps lists the actors, the oldest first, and the workers of a pool after it. Those
// that only call are left out.
func (a *Arbiter) ps() []actor.Info {
	var all []*incarnation
	for i := range a.registry.all() {
		if s := i.session; s == nil || !s.client() {
			all = append(all, i)
		}
	}
	var list []actor.Info
	now := time.Now() // one for all: the order is that of their births
	inquiries := make([]*cell.Inquiry, 0, inquiredAtOnce)
	for some := range slices.Chunk(all, inquiredAtOnce) {
		inquiries = inquiries[:0]
		for _, i := range some {
			inquiries = append(inquiries, i.inquire())
		}
		for n, i := range some {
			info := i.infoWith(inquiries[n])
			info.Uptime = max(now.Sub(i.born()), 0)
			list = append(list, info)
		}
	}
	list = append(list, a.emptySlots()...)
	pools := make(map[string]actor.Info)
	for _, i := range list {
		if i.Kind == "pool" && i.Name != "" {
			pools[i.Name] = i
		}
	}
	// A worker has the place of its pool, and among its own that of its slot.
	place := func(i actor.Info) (uptime time.Duration, aid string, index int) {
		if name, slot, ok := strings.Cut(i.Name, "/"); ok {
			if pool, ok := pools[name]; ok {
				index, _ := strconv.Atoi(slot)
				return pool.Uptime, pool.AID, index
			}
		}
		return i.Uptime, i.AID, 0
	}
	slices.SortFunc(list, func(x, y actor.Info) int {
		age, aid, index := place(x)
		age2, aid2, index2 := place(y)
		return cmp.Or(cmp.Compare(age2, age), cmp.Compare(aid, aid2), cmp.Compare(index, index2), cmp.Compare(x.AID, y.AID))
	})
	return list
}

// emptySlots lists the slots in which there is nobody, and why.
func (a *Arbiter) emptySlots() (list []actor.Info) {
	for _, r := range a.allRows() {
		r.mu.Lock()
		for _, s := range r.slots {
			if s.current != nil {
				continue
			}
			info := actor.Info{Name: s.name, Kind: s.args.Kind, State: s.status, In: s.args.In, Restarts: s.restarts, Reason: s.reason}
			if s.last != nil {
				info.Reason = strings.TrimPrefix(info.Reason+"; it "+s.last.String(), "; ")
				d := actorDeath(s.last)
				info.Last = lastLineOnly(&d)
			}
			list = append(list, info)
		}
		r.mu.Unlock()
	}
	return list
}

func (a *Arbiter) allRows() (all []*row) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.rows {
		all = append(all, r)
	}
	return all
}

func (s *session) client() bool {
	s.inc.mu.Lock()
	defer s.inc.mu.Unlock()
	return s.hello != nil && s.hello.Client
}

// inspected is how many events and lines an inspection has.
const inspected = 20

// inspect answers the command inspect.
func (a *Arbiter) inspect(_ context.Context, target actor.Ref) (actor.Inspection, error) {
	name := address(target)
	out := actor.Inspection{}
	i := a.resolve([]byte(name))
	s := a.slotNamed(name)
	switch {
	case i != nil:
		a.inspectLiving(&out, i)
		s = i.slot
	case s != nil:
		for _, info := range a.emptySlots() {
			if info.Name == s.name {
				out.Info = info
			}
		}
		out.Spawn = ownArgs(&s.args)
	default:
		d, aid := a.dead.find(name), name
		if d == nil {
			if aid = a.dead.named(name); aid == "" {
				return out, a.unknownActor(name)
			}
			if d = a.dead.find(aid); d == nil { // forgotten meanwhile
				return out, a.unknownActor(name)
			}
		}
		out.Info = actor.Info{AID: aid, Name: d.label, State: cell.Terminated.String()}
		if d.death.Cause == wire.CauseStopped {
			out.Info.State = cell.Closed.String()
		}
		death := actorDeath(d.death)
		out.Death = &death
	}
	if s != nil {
		out.Slots = []actor.Slot{s.info()}
		if out.Death == nil {
			out.Death = out.Slots[0].Last
		}
	}
	label := cmp.Or(out.Info.Name, out.Info.AID)
	out.Events = a.events.about(out.Info.AID, label, inspected)
	out.Lines = a.journal.last(label, inspected)
	return out, nil
}

func (a *Arbiter) inspectLiving(out *actor.Inspection, i *incarnation) {
	out.Info = i.info()
	if out.Spawn = ownArgs(i.args); out.Spawn == nil && i.parent != nil {
		out.Spawn = &actor.SpawnArgs{Kind: i.kind(), Name: i.name, In: placeNames[i.place]}
	}
	if i.parent != nil {
		out.Parent = i.parent.label()
	}
	if i.spec != nil {
		for _, c := range i.spec.CommandInfos() {
			out.Commands = append(out.Commands, c.Name)
		}
	}
	i.mu.Lock()
	if i.ties != nil {
		out.Watchers = len(i.ties.watchers)
	}
	i.mu.Unlock()
	if i.session != nil {
		out.Commands = append(out.Commands, i.session.commandNames()...)
	}
	slices.Sort(out.Commands)
	out.Commands = slices.Compact(out.Commands)
	account := i.account(false)
	if i == a.self {
		account = a.account()
		out.Weak = a.family.Weak()
		out.Memory = &actor.Memory{Held: a.budget.Held(), Budget: a.budget.Limit(), Refused: a.budget.Refused()}
	}
	out.Account = &account
	if p := i.pool; p != nil {
		args := p.args
		args.Worker = *ownArgs(&args.Worker)
		args.Bind, args.WorkerEnv = slices.Clone(args.Bind), slices.Clone(args.WorkerEnv)
		out.Pool, out.Spawn = &args, nil
		p.row.mu.Lock()
		slots := slices.Clone(p.row.slots)
		p.row.mu.Unlock()
		for _, s := range slots {
			out.Slots = append(out.Slots, s.info())
		}
	}
}

func (s *session) commandNames() (names []string) {
	s.inc.mu.Lock()
	defer s.inc.mu.Unlock()
	if s.hello == nil {
		return nil
	}
	for _, c := range s.hello.Commands {
		names = append(names, c.Name)
	}
	return names
}

// unknownActor is the error of a call to an address nobody has.
func (a *Arbiter) unknownActor(address string) *wire.Error {
	name := address
	if pool, _, _, ok := poolAddress(address); ok {
		name = pool
	}
	if s := a.slotNamed(name); s != nil {
		if e := s.emptyError(); e != nil {
			return e
		}
	}
	if d := a.dead.find(address); d != nil {
		e := &wire.Error{Code: wire.CodeDown, Target: d.label, Death: d.death, Message: "it " + d.death.String()}
		return e.NotStarted()
	}
	text := "there is no actor \"" + address + "\""
	if d := a.dead.find(a.dead.named(address)); d != nil {
		text += "; the last one of that name " + d.death.String()
	} else if near := a.registry.nearest(name); near != "" && near != name {
		text += "; did you mean \"" + near + "\"?"
	}
	e := wire.Errorf(wire.CodeUnknownActor, "%s", text)
	e.Target = address
	return e.NotStarted()
}

// emptyError is the error of a call to a slot in which there is nobody.
func (s *slot) emptyError() *wire.Error {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	if s.last == nil || s.current != nil {
		return nil
	}
	d := *s.last
	switch s.status {
	case "failed":
		d.Reason = strings.TrimSuffix("given up: "+s.reason+"; "+d.Reason, "; ")
	case "stopped":
		d = wire.Death{Cause: wire.CauseStopped, Reason: s.reason}
	}
	e := &wire.Error{Code: wire.CodeDown, Target: s.name, Death: &d, Message: "it " + d.String()}
	return e.NotStarted()
}

// stopActor answers the command stop_actor.
func (a *Arbiter) stopActor(ctx context.Context, target actor.Ref) (actor.Death, error) {
	name := address(target)
	reason := "asked to"
	if from, ok := actor.Caller(ctx); ok {
		reason = "asked to by " + from.String()
	}
	i := a.resolve([]byte(name))
	s := a.slotNamed(name)
	if s == nil && i != nil {
		s = i.slot
	}
	switch {
	case i == a.self:
		return actor.Death{}, wire.Errorf(wire.CodeRefused, "the arbiter is stopped by the command stop").NotStarted()
	case s != nil:
		if failed := a.ownEnd(ctx, s.holds); failed != nil {
			return actor.Death{}, failed
		}
		d, err := s.stop(ctx, reason)
		if err != nil {
			return actor.Death{}, err
		}
		return actorDeath(d), nil
	case i != nil && i.pool != nil:
		if failed := a.ownEnd(ctx, i.pool.row.holds); failed != nil {
			return actor.Death{}, failed
		}
		return actor.Death{Cause: actor.CauseStopped, Reason: reason}, i.pool.row.stop(ctx, reason)
	case i == nil:
		return actor.Death{}, a.unknownActor(name)
	}
	if failed := a.ownEnd(ctx, func(from *incarnation) bool { return from == i }); failed != nil {
		return actor.Death{}, failed
	}
	defer a.waitForEnds(ctx, i)()
	i.stop(reason)
	select {
	case <-i.ended.until():
		return actorDeath(i.death), nil
	case <-ctx.Done():
		return actor.Death{}, ctx.Err()
	}
}

// startActor answers the command start.
func (a *Arbiter) startActor(ctx context.Context, target actor.Ref) (actor.Ref, error) {
	name := address(target)
	if r := a.rowOf(name); r != nil {
		return actor.To(name), r.start(ctx)
	}
	s := a.slotNamed(name)
	if s == nil {
		if i := a.resolve([]byte(name)); i != nil {
			return i.ref(), nil // it lives
		}
		return actor.Ref{}, a.unknownActor(name)
	}
	i, err := s.start(ctx, false)
	if err != nil {
		return actor.Ref{}, err
	}
	i, err = a.awaitIn(ctx, i)
	return i.ref(), err
}

// ownArgs returns a copy of args for whoever asks: in the arbiter's process what is answered is
// handed over as it is, and may be changed and used to spawn another. nil stays nil.
func ownArgs(args *actor.SpawnArgs) *actor.SpawnArgs {
	if args == nil {
		return nil
	}
	own := *args
	own.Extra, own.Run, own.Env = maps.Clone(args.Extra), slices.Clone(args.Run), slices.Clone(args.Env)
	if args.Restart != nil {
		policy := *args.Restart
		own.Restart = &policy
	}
	if args.Bounds != nil {
		bounds := *args.Bounds
		bounds.Rlimits = maps.Clone(bounds.Rlimits)
		own.Bounds = &bounds
	}
	return &own
}

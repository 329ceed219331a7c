package arbiter

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// simJob is what a message asks of its handler.
type simJob struct {
	ID   uint64   `cbor:"id"`
	Hold int64    `cbor:"hold,omitempty"` // nanoseconds to take
	Way  []string `cbor:"way,omitempty"`  // call the first of these, which calls the others
	Tell []string `cbor:"tell,omitempty"` // send each of these something
	Look string   `cbor:"look,omitempty"` // watch this one
	Size int      `cbor:"size,omitempty"` // bytes of the answer
	End  string   `cbor:"end,omitempty"`  // "error", "panic", "stop", "stuck", "exit"
	Pad  []byte   `cbor:"pad,omitempty"`
}

type simAnswer struct {
	ID  uint64 `cbor:"id"`
	By  string `cbor:"by"`
	Pad []byte `cbor:"pad,omitempty"`
}

var (
	simAsk  = actor.NewCommand[simJob, simAnswer]("ask")
	simLook = actor.NewCommand[simJob, simAnswer]("look", actor.Idempotent()) // as simAsk
	simTell = actor.NewCommand[simJob, actor.None]("tell", actor.NoAck())
)

// simActor is an actor, or the name of one whose lives follow each other.
type simActor struct {
	w      *simWorld
	name   string
	mode   string
	place  string // "goroutine", "member"
	member *actor.Member
	near   *peer.PipeEnd // the member's end
	far    *peer.PipeEnd // the arbiter's
	script chan func(ctx context.Context)
}

// simState is one life of it.
type simState struct {
	w    *simWorld
	aid  string
	name string
	mode string
}

// join connects a member over a pipe of a random size.
func (a *simActor) join() context.Context {
	w := a.w
	sizes := [...]int{300, 3000, 64 << 10, peer.DefaultPipe}
	a.near, a.far = peer.PipeSize(sizes[w.rng.IntN(len(sizes))])
	if w.rng.IntN(4) == 0 {
		a.near.Slice(1 + w.rng.IntN(200))
	}
	if w.rng.IntN(4) == 0 {
		a.far.Slice(1 + w.rng.IntN(200))
	}
	var far peer.Transport = a.far
	if w.rng.IntN(4) == 0 {
		w.note("%s is of an older version", a.name)
		far = &simOlder{Transport: a.far}
	}
	w.guests.Go(func() { w.arb.ServeConn(far) })
	options := actor.JoinOptions{Name: a.name, Logger: slog.New(slog.DiscardHandler)}
	a.member = actor.NewMember("", w.kinds[a.mode], options.Over(a.near))
	ref, err := a.member.Ref(context.Background())
	if err != nil {
		w.t.Fatalf("seed %d: join: %v", w.seed, err)
	}
	w.lived(a.name, ref.AID) // it may send before its constructor has run
	return a.member.Context(context.Background())
}

// simWatch is one wish to be told of an end.
type simWatch struct {
	by, of string // aids
	told   int
}

// watch has the actor of s watch the one called name, who lives once.
func (s *simState) watch(ctx context.Context, name string) {
	w := s.w
	target := w.arb.registry.get(name)
	if target == nil {
		return
	}
	watch := &simWatch{by: s.aid, of: target.aid}
	_, err := actor.Watch(ctx, actor.Ref{AID: target.aid}, func(_ context.Context, e actor.Ended) {
		w.mu.Lock()
		defer w.mu.Unlock()
		watch.told++
		w.downs[[2]string{watch.by, watch.of}] = time.Now()
		w.noteLocked("%s is told of the end of %s: %v", s.name, name, e.Cause)
		if e.Ref.AID != watch.of {
			w.violateLocked("6", "%s watches %s and is told of %s", s.name, watch.of, e.Ref.AID)
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLocked("%s watches %s: %v", s.name, name, err)
	if err == nil {
		w.watches = append(w.watches, watch)
	}
}

// then has the actor do something, after what it was given before.
func (a *simActor) then(f func(ctx context.Context)) {
	select {
	case a.script <- f:
	default: // it is stuck; what is left out never was
	}
}

// send sends one message, and waits until it has room.
func (w *simWorld) send(ctx context.Context, from, thread, to string, job simJob) error {
	m := w.message(ctx, 's', from, thread, to)
	job.ID, job.Pad = m.id, simPad(m.id, len(job.Pad))
	err := simTell.Send(ctx, actor.To(to), job)
	w.end(m, nil, err)
	return err
}

// call makes a call and waits for its outcome.
func (w *simWorld) call(ctx context.Context, from, thread, to string, job simJob) (simAnswer, error) {
	m := w.message(ctx, 'c', from, thread, to)
	m.loose = strings.HasPrefix(thread, "interleaved")
	job.ID, job.Pad = m.id, simPad(m.id, len(job.Pad))
	answer, err := simAsk.Call(ctx, actor.To(to), job)
	w.end(m, &answer, err)
	return answer, err
}

// start makes a call from the script of an actor and goes on. It is canceled after
// patience, if that is not 0.
func (a *simActor) start(to string, job simJob, timeout, patience time.Duration) {
	a.begin(simAsk, to, job, timeout, patience)
}

// look makes a call that may be made twice.
func (a *simActor) look(to string, job simJob, timeout, patience time.Duration) {
	a.begin(simLook, to, job, timeout, patience)
}

func (a *simActor) begin(command actor.Command[simJob, simAnswer], to string, job simJob, timeout, patience time.Duration) {
	a.then(func(ctx context.Context) {
		cancel := context.CancelFunc(func() {})
		if timeout > 0 {
			ctx, cancel = context.WithTimeout(ctx, timeout)
		}
		m := a.w.message(ctx, 'c', a.name, "script", to)
		job.ID, job.Pad = m.id, simPad(m.id, len(job.Pad))
		a.w.mu.Lock()
		m.often = command == simLook
		a.w.mu.Unlock()
		p := command.Start(ctx, actor.To(to), job)
		if patience > 0 {
			time.AfterFunc(patience, p.Cancel)
		}
		a.w.work.Go(func() {
			defer cancel()
			answer, err := p.Wait()
			a.w.end(m, &answer, err)
		})
	})
}

// accept makes a call that ends when it is accepted.
func (a *simActor) accept(to string, job simJob) {
	a.then(func(ctx context.Context) {
		m := a.w.message(ctx, 'a', a.name, "script", to)
		job.ID, job.Pad = m.id, simPad(m.id, len(job.Pad))
		_, err := simTell.Call(ctx, actor.To(to), job)
		a.w.end(m, nil, err)
	})
}

// tell sends one way from the script.
func (a *simActor) tell(to string, job simJob, timeout time.Duration) {
	a.then(func(ctx context.Context) {
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		_ = a.w.send(ctx, a.name, "script", to, job)
	})
}

// started notes that a handler began.
func (s *simState) started(id uint64) { s.startedAs(id, 1) }

// startedAs notes that a handler began, with which attempt.
func (s *simState) startedAs(id uint64, attempt int) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began[s.aid]++
	if id == 0 || id > uint64(len(w.messages)) {
		return // of somebody hostile
	}
	m := w.messages[id-1]
	m.started++
	first := m.by
	m.by = s.aid
	w.noteLocked("%v is started by %s", m, s.aid)
	const tolerance = 10 * time.Millisecond // a millisecond of the wire, and what a sweep may be late
	if late := time.Since(m.deadline); m.way == 'c' && late > tolerance && !w.faulty {
		w.violateLocked("7", "%v was started %v after its deadline", m, late)
	}
	if lives := w.lives[m.from]; len(lives) == 1 && !w.downs[[2]string{s.aid, lives[0]}].IsZero() && s.mode == "serial" {
		w.violateLocked("2", "%v was started after the end of its sender was told", m)
	}
	if strings.HasSuffix(m.to, "/*") && !slices.Contains(m.all, s.aid) {
		m.all = append(m.all, s.aid)
	} else if attempt > 1 {
		if !m.often || attempt > 2 || m.started > 2 {
			w.violateLocked("3", "%v was started %d times, with attempt %d", m, m.started, attempt)
		}
		if first != "" && w.arb.registry.get(first) != nil {
			w.violateLocked("3", "%v was sent again, and %s, who had it, lives", m, first)
		}
		return // what was sent after the first attempt may have started before
	} else if m.started > 1 {
		w.violateLocked("3", "%v was started %d times", m, m.started)
	}
	// A call may overtake where it is admitted because its chain waits for it.
	if s.mode == "concurrent" || s.mode == "interleaved" && m.way == 'c' {
		return
	}
	at := m.pair
	at.to = s.aid
	if w.last[at] > m.seq {
		w.violateLocked("2", "%v has number %d, and %d was started before", m, m.seq, w.last[at])
	}
	w.last[at] = m.seq
}

// sentBy looks whether who sent a message is who is said to have.
func (s *simState) sentBy(ctx context.Context, id uint64) {
	w := s.w
	caller, _ := actor.Caller(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == 0 || id > uint64(len(w.messages)) {
		return
	}
	if m := w.messages[id-1]; !slices.Contains(w.lives[m.from], caller.AID) {
		w.violateLocked("9", "%v says that it is of %q", m, caller.AID)
	}
}

// stillWanted looks whether the context of a handler ended when its call did.
func (s *simState) stillWanted(id uint64) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == 0 || w.faulty {
		return
	}
	const tolerance = 50 * time.Millisecond
	if m := w.messages[id-1]; m.way == 'c' && m.ended && time.Since(m.endedAt) > tolerance {
		w.violateLocked("8", "%v ended %v ago, and its handler goes on", m, time.Since(m.endedAt))
	}
}

func (s *simState) cameBack(_ context.Context, e *actor.Error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.back[[2]string{s.name, e.Target}]++
	s.w.noteLocked("a message of %s to %s came back: %v", s.name, e.Target, e)
	if e.Started != actor.StartedNo {
		s.w.violateLocked("5", "a message of %s came back, and may have started: %v", s.name, e)
	}
}

func (s *simState) tell(ctx context.Context, job simJob) error {
	_, err := s.ask(ctx, job)
	return err
}

// ask does what a job says.
func (s *simState) ask(ctx context.Context, job simJob) (simAnswer, error) {
	s.startedAs(job.ID, actor.Attempt(ctx))
	s.sentBy(ctx, job.ID)
	s.w.intact("message", job.ID, job.Pad)
	thread := s.mode + " " + s.aid
	if s.mode != "serial" {
		thread += fmt.Sprint(" ", job.ID) // handlers beside each other have no order
	}
	if job.Hold > 0 {
		timer := time.NewTimer(time.Duration(job.Hold))
		defer timer.Stop()
		select {
		case <-timer.C:
			s.stillWanted(job.ID)
		case <-ctx.Done():
			return simAnswer{}, ctx.Err()
		}
	}
	if job.Look != "" {
		s.watch(ctx, job.Look)
	}
	for _, to := range job.Tell {
		_ = s.w.send(ctx, s.name, thread, to, simJob{})
	}
	if len(job.Way) > 0 {
		if _, err := s.w.call(ctx, s.name, thread, job.Way[0], simJob{Way: job.Way[1:], Hold: job.Hold}); err != nil {
			return simAnswer{}, err
		}
	}
	self, _ := actor.Current(ctx)
	switch job.End {
	case "error":
		return simAnswer{}, actor.NewError("sim", "as it was told")
	case "panic":
		panic("as it was told")
	case "stop":
		self.Stop("as it was told")
	case "retire":
		self.Retire("as it was told")
	case "stuck":
		select {
		case <-s.w.over:
		case <-ctx.Done():
		}
	}
	return simAnswer{ID: job.ID, By: s.aid, Pad: simPad(job.ID, job.Size)}, nil
}

package actor

import (
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// What a member hears. These are the methods of peer.Handler; they run on the
// reader's goroutine and never wait, but for what a kind's Info says, and that not for long.

// Receive takes one message that is neither a reply nor a credit.
func (j *joined) Receive(c *peer.Conn, m *wire.Message) {
	switch m.Kind {
	case wire.KindRequest:
		j.request(c, m)
	case wire.KindCancel:
		j.cell.Cancel(j, m.ID)
	case wire.KindUndelivered:
		j.undelivered(wire.ParseError(m))
	case wire.KindDown:
		j.down(m)
	case wire.KindStop:
		j.cell.Stop(string(m.Body), 0)
	case wire.KindXoff:
		j.stopped.add(string(m.Target))
		c.Sift()
	case wire.KindXon:
		j.stopped.remove(string(m.Target))
	case wire.KindNotify, wire.KindGoodbye:
		// The heartbeat has done its work by arriving; a goodbye is followed by the
		// end of the connection.
	}
}

// request delivers a command, or answers why not.
func (j *joined) request(c *peer.Conn, m *wire.Message) {
	j.came++
	r := j.cell.Receive(m, j, wire.Cost(m.Size()))
	r.Granted = true // the window is the inbox's bound, and given back as handlers begin
	var err *wire.Error
	if e := m.CheckExt(); e != nil {
		err = wire.Errorf(wire.CodeProtocol, "%v", e).NotStarted()
	} else {
		err = j.cell.Put(r)
	}
	if err != nil {
		c.Credit(r.Cost)
		hosting{j.member}.Fail(r, err, false)
	}
}

// ReceiveRun delivers many commands at once.
func (j *joined) ReceiveRun(c *peer.Conn, run *peer.Run) bool {
	taken := j.cell.PutRun(run.Messages, j, func(r *cell.Request, err *wire.Error) {
		c.Credit(r.Cost)
		hosting{j.member}.Fail(r, err, false)
	})
	if taken {
		j.came += len(run.Messages)
	}
	return taken
}

// Started and Credit make joined the cell.Source of what comes over its connection.

// Started says that a handler begins.
func (j *joined) Started() { j.conn.Started() }

// Credit gives the arbiter its room back, unless the actor has ended: that would only
// invite more for nobody.
func (j *joined) Credit(cost int) {
	if !j.cell.Ended() {
		j.conn.Credit(cost)
	}
}

func (j *joined) undelivered(e *wire.Error) {
	spec := j.cell.Spec()
	if spec.Undelivered == nil {
		j.member.log.Warn("a one-way message came back", "actor", j.cell.String(), "target", e.Target, "command", e.Command, "code", e.Code, "reason", e.Message)
		return
	}
	j.cell.PostUndelivered(e)
}

func (j *joined) down(m *wire.Message) {
	j.mu.Lock()
	w := j.watches[m.ID]
	delete(j.watches, m.ID)
	j.mu.Unlock()
	if w != nil {
		w.Down(&cell.Down{AID: string(m.Sender), Name: string(m.Command), Death: *wire.ParseDeath(m)})
	}
}

// Dry lets the actor start on what was received. What Receive answers is flushed
// at once. Behind one request alone there most often is nothing to read yet.
func (j *joined) Dry(*peer.Conn) {
	lone := j.came == 1
	j.came = 0
	j.cell.Wake(lone)
}

// Beat sends a heartbeat with what the actor knows of itself. It is not to be late because the
// kind's Info is.
func (j *joined) Beat(c *peer.Conn) {
	patience := cell.InfoPatience
	if every := time.Duration(j.hello.Interval) * time.Millisecond; every > 0 {
		patience = min(patience, every/2)
	}
	i := infoOfCell(j.cell, patience)
	body, err := wire.Encode(wire.CodecCBOR, nil, wire.Beat{
		State: i.State, PID: i.PID, Inbox: i.Inbox, Accepted: i.Accepted, Started: i.Started, Refused: i.Refused,
		Oldest: i.Oldest, Handling: i.Handling, Since: i.Since, RSS: i.RSS, CPU: i.CPU, Extra: i.Extra,
	})
	if err != nil {
		return // Inquire has seen to it that what the kind's Info says has an image, as the rest always has
	}
	c.TellTaken()
	if c.Post(peer.Control, &wire.Message{Kind: wire.KindNotify, Codec: wire.CodecCBOR, Body: body}, peer.Charge{}) == nil {
		c.Flush()
	}
}

package arbiter

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// simText is a peer without windows: it speaks json, answers what it is asked in the
// order it comes, and sends when it likes. What it cannot write at once it keeps, and
// reads on, or does not: then it is the worst peer of a naive hub.
type simText struct {
	w    *simWorld
	name string
	deaf bool // it does not read while it cannot write
	end  *peer.PipeEnd
	run  sync.WaitGroup
	out  chan []byte
	turn chan struct{} // whoever writes, where that may wait; a mutex would stop time

	mu   sync.Mutex // guards what follows
	aid  string
	acks map[string]*simMessage
}

// text has one join.
func (w *simWorld) text(name string, deaf bool) *simText {
	ours, theirs := peer.PipeSize(1 << (8 + w.rng.IntN(10)))
	p := &simText{w: w, name: name, deaf: deaf, end: ours, out: make(chan []byte, 1<<14), turn: make(chan struct{}, 1), acks: make(map[string]*simMessage)}
	w.guests.Go(func() { w.arb.ServeConn(theirs) })
	w.note("%s lives (json, deaf: %v)", name, deaf)
	if !deaf {
		p.run.Go(func() {
			for b := range p.out {
				_, _ = p.end.Write(b)
			}
		})
	}
	p.say(map[string]any{"command": "hello", "kind": "text", "name": name, "mode": "serial", "commands": []any{"ask", map[string]any{"name": "tell", "ack": false}}})
	p.run.Go(p.read)
	w.texts = append(w.texts, p)
	return p
}

func (p *simText) say(m map[string]any) {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	b = frame.AppendFrame(nil, frame.Text, b)
	if p.deaf {
		p.turn <- struct{}{} // and whoever reads waits for that
		_, _ = p.end.Write(b)
		<-p.turn
		return
	}
	p.out <- b
}

func (p *simText) read() {
	frames := frame.NewReader(p.end, frame.Options{Limit: 16 << 20, TextUTF8: true})
	for {
		op, payload, err := frames.Next()
		if err != nil {
			return
		}
		var m struct {
			Command, Target, Sender, Ack, AID string
			Args                              []struct{ ID uint64 }
			Kwargs                            struct{ ID uint64 }
			Result                            *struct {
				ID uint64
				By string
			}
			Error *struct{ Code, Message string }
		}
		if op == frame.Ping {
			p.say(map[string]any{"command": "cancel", "ack": "0"}) // a sign of life
		}
		if op != frame.Text || json.Unmarshal(payload, &m) != nil {
			continue
		}
		switch {
		case m.Command == "welcome":
			p.mu.Lock()
			p.aid = m.AID
			p.mu.Unlock()
			p.w.mu.Lock()
			p.w.lives[p.name] = append(p.w.lives[p.name], m.AID)
			p.w.mu.Unlock()
		case m.Target != "":
			id := m.Kwargs.ID
			if len(m.Args) == 1 {
				id = m.Args[0].ID
			}
			s := simState{w: p.w, aid: p.aid, name: p.name, mode: "serial"}
			s.started(id)
			if m.Ack != "" {
				p.say(map[string]any{"command": "callback", "ack": m.Ack, "result": map[string]any{"id": id, "by": p.aid}})
			}
		case m.Command == "callback":
			outcome := "well"
			if m.Error != nil {
				outcome = m.Error.Code + ": " + m.Error.Message
			}
			p.answered(m.Ack, outcome)
		case m.Command == "stop":
			return
		}
	}
}

func (p *simText) answered(ack, outcome string) {
	p.mu.Lock()
	call := p.acks[ack]
	delete(p.acks, ack)
	p.mu.Unlock()
	if call == nil {
		p.w.violate("9", "%s has the answer to %q, which it did not ask", p.name, ack)
		return
	}
	p.w.mu.Lock()
	call.endedAt, call.ended, call.untyped = time.Now(), true, true
	p.w.noteLocked("%v ended: %s", call, outcome)
	p.w.mu.Unlock()
}

// ask and tell send. There is no deadline: the arbiter's default is that of a call.
func (p *simText) ask(to string, size int) {
	m := p.w.message(noDeadline, 'c', p.name, "script", to)
	ack := fmt.Sprint("t", m.id)
	p.mu.Lock()
	p.acks[ack] = m
	p.mu.Unlock()
	p.say(map[string]any{"command": "ask", "target": to, "ack": ack, "kwargs": map[string]any{"id": m.id, "size": size}})
}

func (p *simText) tell(to string, size int) {
	m := p.w.message(noDeadline, 's', p.name, "script", to)
	p.w.mu.Lock()
	m.ended, m.untyped, m.endedAt = true, true, time.Now()
	p.w.mu.Unlock()
	p.say(map[string]any{"command": "tell", "target": to, "kwargs": map[string]any{"id": m.id, "end": strings.Repeat("x", size)}})
}

func (p *simText) leave() {
	_ = p.end.Close()
	if !p.deaf {
		close(p.out)
	}
	p.run.Wait()
}

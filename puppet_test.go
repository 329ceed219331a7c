package arbiter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
)

// puppet is an actor of the json profile with the commands of Subject and Ordered,
// written with nothing but a socket: what an SDK of another language does.
type puppet struct {
	c      net.Conn
	serial bool
	max    int // bytes of a message
	ref    actor.Ref
	queue  chan map[string]any // of a serial one
	done   chan struct{}       // closed when the connection has ended
	work   sync.WaitGroup

	mu       sync.Mutex // guards what follows, and writing
	last     int        // ack
	answers  map[string]chan map[string]any
	cancels  map[string]chan struct{} // of the handlers at work, by ack
	recorded []int
	canceled int
	next     int
	wrong    int
}

// pull has a puppet join at address, which is unix: or tcp:.
func (w *world) pull(address string, kind actor.Behaviour) actor.Ref {
	w.t.Helper()
	network, at, _ := strings.Cut(address, ":")
	c, err := net.Dial(network, at)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &puppet{
		c: c, serial: kind != actor.Behaviour(Weaver), queue: make(chan map[string]any, 1<<16), done: make(chan struct{}),
		answers: make(map[string]chan map[string]any), cancels: make(map[string]chan struct{}),
	}
	mode := "serial"
	if !p.serial {
		mode = "interleaved"
	}
	p.say(map[string]any{"command": "hello", "kind": kind.KindName(), "token": "secret", "mode": mode, "commands": []any{
		"double", "fail", map[string]any{"name": "record", "ack": false}}})
	frames := frame.NewReader(c, frame.Options{TextUTF8: true, Limit: 64 << 20})
	welcome, err := p.read(frames)
	if err != nil || welcome["command"] != "welcome" {
		w.t.Fatalf("%v, %v, want a welcome", welcome, err)
	}
	p.ref = actor.Ref{AID: welcome["aid"].(string)}
	p.max = int(welcome["max_message"].(float64))
	p.work.Go(func() { p.run(frames) })
	if p.serial {
		p.work.Go(func() {
			for m := range p.queue {
				p.handle(m)
			}
		})
	}
	w.t.Cleanup(func() { c.Close(); p.work.Wait() })
	return p.ref
}

// read returns the next message; nil for one that is none.
func (p *puppet) read(frames *frame.Reader) (map[string]any, error) {
	op, payload, err := frames.Next()
	if err != nil {
		return nil, err
	}
	switch op {
	case frame.Ping:
		p.write(frame.Pong, payload)
	case frame.Text:
		var m map[string]any
		return m, json.Unmarshal(payload, &m)
	case frame.Close:
		p.write(frame.Close, payload)
	}
	return nil, nil
}

func (p *puppet) write(op frame.Opcode, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.c.Write(frame.AppendFrame(nil, op, b))
}

func (p *puppet) say(m map[string]any) {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	if p.max > 0 && len(b) > p.max {
		b, _ = json.Marshal(map[string]any{"command": "callback", "ack": m["ack"],
			"error": map[string]any{"code": "too_large", "message": "the result is too large", "started": true}})
	}
	p.write(frame.Text, b)
}

// run is the reader.
func (p *puppet) run(frames *frame.Reader) {
	defer close(p.done)
	defer close(p.queue)
	for {
		m, err := p.read(frames)
		if err != nil {
			return
		}
		command, _ := m["command"].(string)
		ack, _ := m["ack"].(string)
		_, request := m["target"]
		switch {
		case m == nil:
		case request && command == "ping":
			p.answer(m, "pong")
		case request && command == "stop", !request && command == "stop":
			p.goodbye(map[string]any{"cause": "stopped"})
		case request:
			p.mu.Lock()
			if ack != "" {
				p.cancels[ack] = make(chan struct{})
			}
			p.mu.Unlock()
			if p.serial {
				p.queue <- m
			} else {
				p.work.Go(func() { p.handle(m) })
			}
		case command == "cancel":
			p.mu.Lock()
			if c := p.cancels[ack]; c != nil {
				delete(p.cancels, ack)
				close(c)
			}
			p.mu.Unlock()
		case command == "callback":
			p.mu.Lock()
			c := p.answers[ack]
			delete(p.answers, ack)
			p.mu.Unlock()
			if c != nil {
				c <- m
			}
		}
	}
}

func (p *puppet) goodbye(death map[string]any) {
	p.say(map[string]any{"command": "goodbye", "death": death})
	_ = p.c.(interface{ CloseWrite() error }).CloseWrite()
}

func (p *puppet) answer(m map[string]any, result any) {
	ack, ok := m["ack"].(string)
	if !ok {
		return
	}
	p.mu.Lock()
	delete(p.cancels, ack)
	p.mu.Unlock()
	p.say(map[string]any{"command": "callback", "ack": ack, "result": result})
}

func (p *puppet) fail(m map[string]any, code, app, message string) {
	if m["ack"] != nil {
		p.say(map[string]any{"command": "callback", "ack": m["ack"], "error": map[string]any{"code": code, "app": app, "message": message}})
	}
}

// call calls an actor from the handler of m, and waits.
func (p *puppet) call(m map[string]any, target, command string, args ...any) (map[string]any, error) {
	answer := make(chan map[string]any, 1)
	p.mu.Lock()
	p.last++
	ack := fmt.Sprint("p", p.last)
	p.answers[ack] = answer
	p.mu.Unlock()
	p.say(map[string]any{"command": command, "target": target, "args": args, "ack": ack, "parent": m["ack"]})
	select {
	case a := <-answer:
		return a, nil
	case <-p.done:
		return nil, errors.New("the connection is gone")
	}
}

// handle is all the commands.
func (p *puppet) handle(m map[string]any) {
	args, _ := m["args"].([]any)
	var first any
	if len(args) > 0 {
		first = args[0]
	}
	number := func(v any) int { f, _ := v.(float64); return int(f) }
	switch m["command"] {
	case "double":
		n, ok := first.(float64)
		if !ok {
			p.fail(m, "invalid", "", fmt.Sprintf("want int, got %v", first))
			return
		}
		p.answer(m, 2*n)
	case "echo":
		p.answer(m, first)
	case "area":
		p.area(m, args)
	case "who_am_i":
		p.answer(m, map[string]any{"aid": p.ref.AID})
	case "who_asks":
		p.answer(m, map[string]any{"aid": m["sender"]})
	case "record":
		p.answer(m, nil)
		p.mu.Lock()
		p.recorded = append(p.recorded, number(first))
		p.mu.Unlock()
	case "recorded":
		p.answer(m, p.recorded)
	case "canceled":
		p.mu.Lock()
		n := p.canceled
		p.mu.Unlock()
		p.answer(m, n)
	case "fail":
		p.fail(m, "no_rows", "", fmt.Sprintf("select %v: no such rows", first))
	case "odd":
		p.answer(m, map[string]any{"fine": 1, "hook": map[string]any{"$function": "f"}})
	case "big":
		p.answer(m, map[string]any{"$bytes": strings.Repeat("AAAA", number(first)/3)})
	case "block":
		p.block(m)
	case "panic":
		p.goodbye(map[string]any{"cause": "panic", "reason": first})
	case "relay":
		p.relay(m, first)
	case "next":
		if number(first) != p.next {
			p.wrong++
		}
		p.next = number(first) + 1
	case "inversions":
		p.answer(m, []int{p.next, p.wrong})
	default:
		p.fail(m, "unknown_command", "", fmt.Sprintf(`no command %q; did you mean "double"?`, m["command"]))
	}
}

func (p *puppet) area(m map[string]any, args []any) {
	sides := map[string]any{}
	for i, a := range args {
		if r, ok := a.(map[string]any); ok {
			sides = r
			break
		}
		sides[[]string{"width", "height"}[i]] = a
	}
	named, _ := m["kwargs"].(map[string]any)
	for k, v := range named {
		if k != "width" && k != "height" {
			p.fail(m, "invalid", "", fmt.Sprintf(`no argument is called %q; did you mean "width"?`, k))
			return
		}
		sides[k] = v
	}
	p.answer(m, sides["width"].(float64)*sides["height"].(float64))
}

func (p *puppet) block(m map[string]any) {
	ack, _ := m["ack"].(string)
	p.mu.Lock()
	c := p.cancels[ack]
	p.mu.Unlock()
	if c != nil {
		select {
		case <-c:
		case <-p.done:
		}
	}
	p.mu.Lock()
	p.canceled++
	p.mu.Unlock()
}

// relay asks the first of the way to relay to the rest.
func (p *puppet) relay(m map[string]any, first any) {
	way, _ := first.([]any)
	if len(way) == 0 {
		p.answer(m, 1)
		return
	}
	a, err := p.call(m, way[0].(map[string]any)["aid"].(string), "relay", way[1:])
	if err != nil {
		return
	}
	if e, ok := a["error"].(map[string]any); ok {
		code, _ := e["code"].(string)
		if code == "app" {
			code, _ = e["app"].(string)
		}
		p.fail(m, "app", code, fmt.Sprint(e["message"]))
		return
	}
	p.answer(m, a["result"].(float64)+1)
}

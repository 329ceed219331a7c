package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// jsonClient speaks the json profile with nothing of this module: an actor that joins
// by a socket, or a websocket, and that whoever has read docs/json.md could have written.
type jsonClient struct {
	// fixed
	conn    net.Conn
	r       *bufio.Reader
	masking bool // as the client of a websocket
	handle  jsonHandler
	done    chan struct{} // closed when the connection has ended, and all handlers

	writing sync.Mutex

	mu      sync.Mutex
	serial  int
	waiting map[string]chan jsonMessage   // the own calls in flight, by ack
	running map[string]context.CancelFunc // the requests in hand, by ack
}

// jsonHandler does what c is asked for, and may ask others by c.
type jsonHandler func(ctx context.Context, c *jsonClient, command string, args []json.RawMessage) (any, *jsonError)

type jsonMessage struct {
	Command string            `json:"command"`
	Target  string            `json:"target,omitempty"`
	Ack     string            `json:"ack,omitempty"`
	Args    []json.RawMessage `json:"args,omitempty"`
	Timeout int               `json:"timeout,omitempty"`
	Result  json.RawMessage   `json:"result,omitempty"`
	Error   *jsonError        `json:"error,omitempty"`
}

type jsonError struct {
	Code    string `json:"code"`
	App     string `json:"app,omitempty"`
	Message string `json:"message"`
	Death   *struct {
		Cause string `json:"cause"`
	} `json:"death,omitempty"`
}

func (e *jsonError) Error() string { return e.Code + ": " + e.Message }

// joinJSON joins the arbiter at address as name, and serves until it is told to stop.
func joinJSON(address, token, name string, websocket bool, handle jsonHandler) (*jsonClient, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &jsonClient{
		conn: conn, r: bufio.NewReader(conn), masking: websocket, handle: handle, done: make(chan struct{}),
		waiting: map[string]chan jsonMessage{}, running: map[string]context.CancelFunc{},
	}
	if err := c.greet(address, token, name); err != nil {
		_ = conn.Close() // that it was refused is what counts
		return nil, err
	}
	go c.serve()
	return c, nil
}

func (c *jsonClient) greet(address, token, name string) error {
	_ = c.conn.SetDeadline(time.Now().Add(patience)) // a TCP connection has deadlines
	if c.masking {
		_, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: "+address+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		if err != nil {
			return err
		}
		answer, err := http.ReadResponse(c.r, nil)
		if err != nil {
			return err
		}
		// RFC 6455 §1.3 has the answer to this key.
		if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			return fmt.Errorf("the handshake was answered with %s, %v", answer.Status, answer.Header)
		}
	}
	c.say(map[string]any{"command": "hello", "kind": "raw", "token": token, "name": name, "aid": name})
	var welcome jsonMessage
	text, err := c.text()
	if err == nil {
		err = json.Unmarshal(text, &welcome)
	}
	if err == nil && welcome.Command != "welcome" {
		err = fmt.Errorf("instead of a welcome: %s", text)
	}
	_ = c.conn.SetDeadline(time.Time{})
	return err
}

// say writes m as one text frame.
func (c *jsonClient) say(m any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic(err) // what a test says
	}
	c.write(0x81, bytes.TrimSpace(b.Bytes()))
}

// write writes one frame. That the connection has ended is the reader's business.
func (c *jsonClient) write(first byte, payload []byte) {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	if c.masking {
		key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
		b[1] |= 0x80
		b = append(b, key[:]...)
		for i, x := range payload {
			b = append(b, x^key[i%4])
		}
	} else {
		b = append(b, payload...)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, _ = c.conn.Write(b)
}

// text returns the next message; pings are answered on the way.
func (c *jsonClient) text() ([]byte, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			return nil, err
		}
		size := uint64(head[1])
		if more := map[byte]int{126: 2, 127: 8}[head[1]]; more > 0 {
			var b [8]byte
			if _, err := io.ReadFull(c.r, b[8-more:]); err != nil {
				return nil, err
			}
			size = binary.BigEndian.Uint64(b[:])
		}
		if size > 16<<20 {
			return nil, fmt.Errorf("a frame of %d bytes", size)
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(c.r, payload); err != nil {
			return nil, err
		}
		switch head[0] {
		case 0x81:
			return payload, nil
		case 0x89:
			c.write(0x8a, payload)
		case 0x88:
			c.write(0x88, payload)
			return nil, io.EOF
		}
	}
}

// serve reads until the connection ends.
func (c *jsonClient) serve() {
	var handlers sync.WaitGroup
	defer close(c.done)
	defer handlers.Wait()
	defer c.conn.Close()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	for {
		text, err := c.text()
		if err != nil {
			break
		}
		var m jsonMessage
		if err := json.Unmarshal(text, &m); err != nil {
			break
		}
		switch {
		case m.Command == "stop":
			if m.Ack != "" {
				c.say(jsonMessage{Command: "callback", Ack: m.Ack})
			}
			c.say(map[string]any{"command": "goodbye", "death": map[string]any{"cause": "stopped", "reason": "asked to"}})
			c.write(0x88, []byte{0x03, 0xe8})
		case m.Target != "":
			c.begin(ctx, m, &handlers)
		case m.Command == "callback":
			c.mu.Lock()
			if answer := c.waiting[m.Ack]; answer != nil {
				answer <- m
				delete(c.waiting, m.Ack)
			}
			c.mu.Unlock()
		case m.Command == "cancel":
			c.mu.Lock()
			if cancel := c.running[m.Ack]; cancel != nil {
				cancel()
			}
			c.mu.Unlock()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, answer := range c.waiting {
		answer <- jsonMessage{Error: &jsonError{Code: "closed", Message: "the connection has ended"}}
	}
	clear(c.waiting)
}

// begin has a request handled.
func (c *jsonClient) begin(ctx context.Context, m jsonMessage, handlers *sync.WaitGroup) {
	if m.Timeout == 0 {
		m.Timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(m.Timeout)*time.Millisecond)
	c.mu.Lock()
	c.running[m.Ack] = cancel
	c.mu.Unlock()
	handlers.Go(func() {
		defer cancel()
		result, failed := c.handle(ctx, c, m.Command, m.Args)
		c.mu.Lock()
		delete(c.running, m.Ack)
		c.mu.Unlock()
		answer := map[string]any{"command": "callback", "ack": m.Ack}
		if failed != nil {
			answer["error"] = failed
		} else {
			answer["result"] = result
		}
		c.say(answer)
	})
}

// ask asks target, and waits for what the arbiter says. Whoever gives up before says so
// to the arbiter.
func (c *jsonClient) ask(ctx context.Context, target, command string, timeout int, args ...any) (json.RawMessage, error) {
	raw := make([]json.RawMessage, len(args))
	for i, a := range args {
		var err error
		if raw[i], err = json.Marshal(a); err != nil {
			return nil, err
		}
	}
	answer := make(chan jsonMessage, 1)
	c.mu.Lock()
	c.serial++
	ack := strconv.Itoa(c.serial)
	c.waiting[ack] = answer
	c.mu.Unlock()
	c.say(jsonMessage{Command: command, Target: target, Ack: ack, Args: raw, Timeout: timeout})
	select {
	case m := <-answer:
		if m.Error != nil {
			return nil, m.Error
		}
		return m.Result, nil
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, ack)
		c.mu.Unlock()
		c.say(jsonMessage{Command: "cancel", Ack: ack})
		return nil, ctx.Err()
	}
}

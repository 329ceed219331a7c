package arbiter_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"
)

// A pair is two actors of pulsar for a benchmark, the one asking the other. They are
// quicker than a standin: they replay one frame and look at little.

// envPair makes the test binary one of a pair: "asker" or "answerer". Its arguments are
// ADDRESS AID OTHER IN-FLIGHT PACE.
const envPair = "TEST_PULSAR_PAIR"

// pairFrame is a captured frame, as far as its ack and from there on.
type pairFrame struct{ before, after []byte }

func newPairFrame(name string, texts ...string) pairFrame {
	f := v164.frame(alone{}, name)
	ack := pickledText(ackIn(f))
	payload := payloadOf(with(alone{}, f, texts...))
	at := bytes.LastIndex(payload, ack)
	return pairFrame{payload[:at], payload[at+len(ack):]}
}

func (f *pairFrame) with(ack []byte) []byte {
	return framed(slices.Concat(f.before, pickledText(string(ack)), f.after))
}

// spin is the time that Python takes over a message.
func spin(d time.Duration) {
	for start := time.Now(); d > 0 && time.Since(start) < d; {
	}
}

func bePair() {
	role := os.Getenv(envPair)
	args := os.Args[len(os.Args)-5:]
	inFlight, _ := strconv.Atoi(args[3])
	pace, _ := time.ParseDuration(args[4])
	check := func(err error) {
		if err != nil {
			alone{}.Fatal(role, ": ", err)
		}
	}
	c, err := net.Dial("tcp", args[0])
	check(err)
	notify := v164.frame(alone{}, "handshake_process_up_notify")
	_, err = c.Write(with(alone{}, notify, "alpha001", args[1]))
	check(err)
	r := &pairReader{r: bufio.NewReaderSize(c, 64<<10)}
	_, err = r.next() // the time
	check(err)
	fmt.Println("ready")

	if role == "answerer" {
		pong := newPairFrame("ping_up_cb")
		for {
			payload, err := r.next()
			if err != nil {
				os.Exit(0)
			}
			spin(pace)
			_, err = c.Write(pong.with(lastText(payload)))
			check(err)
		}
	}
	ping := newPairFrame("ping_from_actor_up_ping", "alpha001", args[1], "arbiter", args[2])
	serial := 0
	ask := func() {
		serial++
		spin(pace)
		_, err := c.Write(ping.with(fmt.Appendf(nil, "i%07d", serial%10000000)))
		check(err)
	}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		n, err := strconv.Atoi(orders.Text())
		check(err)
		sent, got := 0, 0
		for ; sent < min(n, inFlight); sent++ {
			ask()
		}
		for ; got < n; got++ {
			payload, err := r.next()
			check(err)
			if !bytes.Contains(payload, []byte("pong")) {
				check(fmt.Errorf("the answer is %q", payload))
			}
			if sent < n {
				ask()
				sent++
			}
		}
		fmt.Println("done")
	}
	os.Exit(0)
}

// lastText is the ack of a message: the last text in it.
func lastText(payload []byte) []byte {
	payload = payload[:bytes.LastIndexByte(payload, 'u')]
	at := bytes.LastIndex(payload, []byte("X\x03\x00\x00\x00ack"))
	if at < 0 {
		return nil
	}
	rest := payload[at+8:]
	at = bytes.IndexByte(rest, 'X')
	n := int(binary.LittleEndian.Uint32(rest[at+1:]))
	ack := rest[at+5 : at+5+n]
	return ack
}

type pairReader struct {
	r *bufio.Reader
	b []byte
}

func (p *pairReader) next() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return nil, err
	}
	n := int(head[1])
	if n == 126 {
		if _, err := io.ReadFull(p.r, head[:]); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint16(head[:]))
	}
	if cap(p.b) < n {
		p.b = make([]byte, n)
	}
	_, err := io.ReadFull(p.r, p.b[:n])
	return p.b[:n], err
}

package load

import "time"

// Shape is what a figure measures.
type Shape string

// The shapes.
const (
	Ask       Shape = "ask"        // requests and their replies, per second
	Tell      Shape = "tell"       // one-way messages per second, as they arrive
	LocalAsk  Shape = "local-ask"  // as Ask, within one process
	LocalTell Shape = "local-tell" // as Tell, within one process
	Spawn     Shape = "spawn"      // the time to start an actor within one process
)

// Local says whether a Local is measured, and not a Peer.
func (s Shape) Local() bool { return s == LocalAsk || s == LocalTell || s == Spawn }

// Figure is one thing to measure.
type Figure struct {
	Name     string
	Shape    Shape
	InFlight int // asks under way, over all connections
	Size     int // bytes of a body
	Conns    int // connections of the asking process
	About    string
	Goals    []Goal // what arbiter is to reach
}

// Unit is the unit of the figure itself.
func (f Figure) Unit() string {
	if f.Shape == Spawn {
		return "µs"
	}
	return "msg/s"
}

// Figures are all there is to measure, in the order of the table.
func Figures() []Figure {
	ideal := func(v float64) Goal { return Goal{Than: ThanIdeal, Value: v} }
	channel := func(v float64) Goal { return Goal{Than: ThanChannel, Value: v} }
	broker := func(v float64) Goal { return Goal{Than: ThanBroker, Value: v} }
	direct := Goal{Than: ThanDirect, Value: 1}
	others := Goal{Than: ThanOthers, Value: 1}
	return []Figure{
		{Name: "ask-1", Shape: Ask, InFlight: 1, Size: 64, Conns: 1,
			About: "asks of 64 B, one at a time", Goals: []Goal{{Aspect: "/p50", Than: ThanIdeal, Most: true, Value: 1.25}}},
		{Name: "ask-64", Shape: Ask, InFlight: 64, Size: 64, Conns: 1,
			About: "asks of 64 B, 64 in flight", Goals: []Goal{ideal(0.5), broker(2.5), direct}},
		{Name: "ask-256", Shape: Ask, InFlight: 256, Size: 64, Conns: 1,
			About: "asks of 64 B, 256 in flight", Goals: []Goal{ideal(0.5), broker(4)}},
		{Name: "ask-64x8", Shape: Ask, InFlight: 64, Size: 64, Conns: 8,
			About: "asks of 64 B, 64 in flight over 8 connections of one process", Goals: []Goal{ideal(0.6), broker(2)}},
		{Name: "ask-64-16k", Shape: Ask, InFlight: 64, Size: 16 << 10, Conns: 1,
			About: "asks of 16 KiB, 64 in flight", Goals: []Goal{ideal(0.8)}},
		{Name: "tell-64", Shape: Tell, Size: 64, Conns: 1,
			About: "one-way messages of 64 B",
			Goals: []Goal{ideal(0.4), broker(2), direct, {Aspect: "/cpu-hub", Than: ThanIdeal, Most: true, Value: 2}}},
		{Name: "tell-16k", Shape: Tell, Size: 16 << 10, Conns: 1,
			About: "one-way messages of 16 KiB"},
		{Name: "tell-1m", Shape: Tell, Size: 1 << 20, Conns: 1,
			About: "one-way messages of 1 MiB", Goals: []Goal{ideal(0.8)}},
		{Name: "local-ask-1", Shape: LocalAsk, InFlight: 1,
			About: "asks within a process, one at a time", Goals: []Goal{channel(0.5), others, {Value: 1.25e6}}},
		{Name: "local-ask-64", Shape: LocalAsk, InFlight: 64,
			About: "asks within a process, 64 in flight", Goals: []Goal{channel(0.5), others, {Value: 1.5e6}}},
		{Name: "local-tell", Shape: LocalTell,
			About: "one-way messages within a process", Goals: []Goal{channel(0.5), others, {Value: 10e6}}},
		{Name: "spawn", Shape: Spawn,
			About: "starting an actor within a process",
			Goals: []Goal{{Most: true, Value: 2}, {Aspect: "/bytes", Most: true, Value: 700}}},
	}
}

// Work is how much of a figure to do. It ends at whichever comes first.
type Work struct {
	Each   time.Duration // for this long; 0: 1 s
	Count  int           // this many messages; 0: no such end
	Verify bool          // compare every byte of every reply, not only its head and length
}

// each is how long to work, with the default.
func (w Work) each() time.Duration {
	if w.Each <= 0 {
		return time.Second
	}
	return w.Each
}

// grace is how much longer than Each a measurement may take before it has failed:
// what is under way has to arrive, and the machine may be busy.
const grace = 10 * time.Second

// Result is what one turn of one peer at one figure gave.
type Result struct {
	Count int64         // messages that arrived, or actors that were started
	Took  time.Duration // until the last of them had
	P50   time.Duration // of an ask, with one in flight between processes
	P99   time.Duration
	Bytes float64 // of memory that an actor takes, with Spawn

	// CPU is what each process used, in microseconds by role.
	CPU map[Role]float64
}

// Value is the figure itself, in its unit.
func (r Result) Value(f Figure) float64 {
	if r.Count == 0 || r.Took <= 0 {
		return 0
	}
	if f.Shape == Spawn {
		return float64(r.Took.Nanoseconds()) / 1e3 / float64(r.Count)
	}
	return float64(r.Count) / r.Took.Seconds()
}

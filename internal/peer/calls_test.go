package peer

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/arbiter-go/arbiter/internal/wire"
)

func down(Note) *wire.Error { return wire.Errorf(wire.CodeDown, "it died") }

func add(t testing.TB, c *Calls, n Note) uint64 {
	t.Helper()
	id, err := c.Add(n)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// counter is a Caller that counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Result(uint64, *wire.Message) { c.n.Add(1) }
func (c *counter) Failed(uint64, *wire.Error)   { c.n.Add(1) }

// However Add, Take, the deadlines and End race, each call ends once.
func TestCallsEndOnce(t *testing.T) {
	for range 20 {
		var c Calls
		var told counter
		var added, taken, refused atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for w := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(w)))
				<-begin
				var mine []uint64
				for i := range 500 {
					n := Note{Caller: &told}
					if i%3 == 0 {
						n.Deadline = time.Now().Add(time.Duration(r.IntN(3)) * time.Millisecond)
					}
					id, err := c.Add(n)
					if err != nil {
						refused.Add(1)
						continue
					}
					added.Add(1)
					if mine = append(mine, id); r.IntN(2) == 0 {
						if _, s := c.Take(mine[r.IntN(len(mine))]); s == Found {
							taken.Add(1)
						}
					}
				}
			})
		}
		wg.Go(func() {
			<-begin
			for c.Len() < 300 && added.Load() < 1500 {
				c.Each(func(uint64, Note) {})
			}
			c.End(down)
			c.End(func(Note) *wire.Error { t.Error("the second End counted"); return nil })
		})
		close(begin)
		wg.Wait()
		waitFor(t, func() bool { return taken.Load()+told.n.Load() == added.Load() })
		if c.Len() != 0 || added.Load()+refused.Load() != 4*500 {
			t.Fatalf("%d in flight, %d added and %d refused of %d", c.Len(), added.Load(), refused.Load(), 4*500)
		}
	}
}

// waitFor waits for what a sweep that runs at the moment still has to tell.
func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); {
		if time.Now().After(end) {
			t.Fatal("it did not come to be")
		}
		runtime.Gosched()
	}
}

func TestCallsStatus(t *testing.T) {
	var c Calls
	status := func(what string, id uint64, want Status) {
		t.Helper()
		if _, got := c.Take(id); got != want {
			t.Errorf("%s: status %d, want %d", what, got, want)
		}
	}
	status("of an empty table", 1<<slotBits, Never)
	status("0", 0, Never)
	var o outcome
	id := add(t, &c, Note{Caller: &o, ID: 7})
	status("above MaxID", wire.MaxID+1+id, Never)
	status("another slot", id+1, Never)
	status("a later generation", id+1<<slotBits, Never)
	if n, ok := c.Peek(id); !ok || n.ID != 7 || !c.Has(id) {
		t.Errorf("Peek: %v, %v", n, ok)
	}
	status("in flight", id, Found)
	status("taken", id, Late)
	again := add(t, &c, Note{Caller: &o})
	if again == id {
		t.Error("an id was issued twice")
	}
	status("of the slot's earlier use", id, Late)
	c.End(down)
	status("after the end", again, Late)
	if _, err := c.Add(Note{Caller: &o}); wantCode(t, err, wire.CodeDown).Started != wire.StartedNo || o.len() != 1 {
		t.Error("a call after the end was not refused as not started")
	}
}

// The table against a map.
func TestCallsModel(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var c Calls
	var o outcome
	live := make(map[uint64]uint64)
	over := make(map[uint64]bool)
	for i := range uint64(20_000) {
		if r.IntN(20) > 9+i2(i) || len(live) == 0 {
			id := add(t, &c, Note{Caller: &o, ID: i})
			if _, ok := live[id]; ok || over[id] {
				t.Fatalf("the id %d was issued twice", id)
			}
			live[id] = i
		} else {
			for id, own := range live {
				n, status := Note{}, Never
				if id%2 == 0 {
					n, status = c.Take(id)
				} else {
					n.Caller, n.ID, status = c.TakeCaller(id)
				}
				if status != Found || n.ID != own || n.Caller != &o {
					t.Fatalf("Take: status %d, id %d of %v; want found, %d", status, n.ID, n.Caller, own)
				}
				delete(live, id)
				over[id] = true
				break
			}
		}
		if c.Len() != len(live) {
			t.Fatalf("Len is %d, want %d", c.Len(), len(live))
		}
	}
	for id := range over {
		if _, status := c.Take(id); status != Late {
			t.Fatalf("the id %d, which is over, has status %d", id, status)
		}
		if to, _, status := c.TakeCaller(id); status != Late || to != nil {
			t.Fatalf("the id %d, which is over, has status %d, and is for %v", id, status, to)
		}
	}
	n := 0
	c.Each(func(id uint64, note Note) {
		if n++; live[id] != note.ID {
			t.Errorf("Each: %d is the call %d, want %d", id, note.ID, live[id])
		}
	})
	if n != len(live) {
		t.Errorf("Each had %d calls, want %d", n, len(live))
	}
}

// i2 makes the model grow and shrink by turns.
func i2(i uint64) int {
	if i/4000%2 == 0 {
		return -4
	}
	return 4
}

// Deadlines are told when they have passed, at most 5 ms late, and then the owner
// is; a table that is empty has no timer, or the bubble would wait for it.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Calls
		began := time.Now()
		const n = 200
		due := func(i uint64) time.Duration { return time.Duration(i*i%997) * time.Millisecond / 4 }
		var mu sync.Mutex
		failed := make(map[uint64]time.Duration)
		expired := 0
		o := callback(func(id uint64, e *wire.Error) {
			mu.Lock()
			defer mu.Unlock()
			if _, twice := failed[id]; twice || e.Code != wire.CodeDeadline {
				t.Errorf("call %d: %v, twice: %v", id, e, twice)
			}
			failed[id] = time.Since(began)
		})
		c.Owner = owner(func(id uint64, note Note) {
			mu.Lock()
			defer mu.Unlock()
			expired++
			if _, told := failed[note.ID]; !told || c.Has(id) {
				t.Errorf("the owner heard of call %d before its Caller", note.ID)
			}
		})
		var taken uint64
		for i := range uint64(n) {
			id := add(t, &c, Note{Caller: o, ID: i, Deadline: began.Add(due(i))})
			if i == n-1 {
				taken = id
			}
		}
		c.Take(taken)
		forever := add(t, &c, Note{Caller: o, ID: n})
		<-time.After(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(failed) != n-1 || expired != n-1 || c.Len() != 1 || !c.Has(forever) {
			t.Errorf("%d were told and %d expired, want %d; %d are left, want 1", len(failed), expired, n-1, c.Len())
		}
		for id, at := range failed {
			if late := at - due(id); late < 0 || late > minSweep {
				t.Errorf("the deadline of call %d was told %v late", id, late)
			}
		}
		moments := make(map[time.Duration]bool)
		for _, at := range failed {
			moments[at] = true
		}
		if most := int(250*time.Millisecond/minSweep) + 2; len(moments) > most {
			t.Errorf("there were %d sweeps, want at most %d", len(moments), most)
		}
	})
}

type callback func(id uint64, e *wire.Error)

func (callback) Result(uint64, *wire.Message)      {}
func (f callback) Failed(id uint64, e *wire.Error) { f(id, e) }

// A deadline that has passed when the call is made is told like any other, and a
// Caller may make a new call while it is told.
func TestDeadlineInThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Calls
		var told atomic.Int32
		var o callback
		o = func(id uint64, _ *wire.Error) {
			if told.Add(1); id < 5 {
				add(t, &c, Note{Caller: o, ID: id + 1, Deadline: time.Now().Add(-time.Hour)})
			}
		}
		add(t, &c, Note{Caller: o, ID: 1, Deadline: time.Now().Add(-time.Hour)})
		<-time.After(5 * minSweep)
		if told.Load() != 5 || c.Len() != 0 {
			t.Errorf("%d were told, %d are left", told.Load(), c.Len())
		}
	})
}

// An idle table is freed by the deadline that finds it empty, and still tells late
// ids from others.
func TestTableIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Calls
		var o outcome
		var last uint64
		for range 100 {
			last = add(t, &c, Note{Caller: &o, Deadline: time.Now().Add(time.Second)})
			c.Take(last)
		}
		<-time.After(2 * time.Second)
		c.mu.Lock()
		freed := c.tab == nil
		c.mu.Unlock()
		if !freed {
			t.Error("the table was not freed")
		}
		if _, s := c.Take(last); s != Late {
			t.Errorf("an id of before has status %d, want late", s)
		}
		if id := add(t, &c, Note{Caller: &o}); id <= last {
			t.Errorf("id %d after %d", id, last)
		}
	})
}

func TestCallsAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(Calls{}); n > 64 {
		t.Errorf("an idle Calls has %d bytes, want at most 64: there is one for each actor", n)
	}
	var c Calls
	var o counter
	add(t, &c, Note{Caller: &o})
	if n := testing.AllocsPerRun(1000, func() {
		id, _ := c.Add(Note{Caller: &o, Deadline: time.Now().Add(time.Hour)})
		c.Take(id)
	}); n != 0 {
		t.Errorf("a call costs %v allocations, want 0", n)
	}
	c.End(down)
}

// owner is an Owner.
type owner func(id uint64, n Note)

func (f owner) Expired(id uint64, n Note) { f(id, n) }

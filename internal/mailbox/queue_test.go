package mailbox

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"
)

// order drains q and says what came out.
func order(q *Queue[string]) string {
	var out []string
	q.Drain(func(s string) { out = append(out, s) })
	return strings.Join(out, " ")
}

func wantCharged(t *testing.T, q *Queue[string], messages, bytes int) {
	t.Helper()
	if m, b := q.Charged(); m != messages || b != bytes {
		t.Errorf("charged %d messages, %d bytes; want %d, %d", m, b, messages, bytes)
	}
}

func TestFull(t *testing.T) {
	type push struct {
		size  int
		force bool
		want  bool
	}
	ok := func(size int) push { return push{size, false, true} }
	no := func(size int) push { return push{size, false, false} }
	force := func(size int) push { return push{size, true, true} }
	for _, test := range []struct {
		name   string
		limits Limits
		pushes []push
	}{
		{"messages", Limits{Messages: 2}, []push{ok(1), ok(1), no(1), no(0)}},
		{"one message", Limits{Messages: 1}, []push{ok(1), no(1)}},
		{"bytes", Limits{Bytes: 10}, []push{ok(6), no(5), ok(4), no(1), ok(0)}},
		{"a refusal charges nothing", Limits{Bytes: 10}, []push{ok(6), no(5), no(5), no(5), ok(4)}},
		{"larger than the limit, alone", Limits{Bytes: 10}, []push{ok(11), no(1), no(11), no(0)}},
		{"larger than the limit, behind another", Limits{Bytes: 10}, []push{ok(1), no(11), ok(9)}},
		{"as large as a size can be", Limits{}, []push{ok(1), no(int(^uint(0) >> 1)), ok(1)}},
		{"force, beyond messages", Limits{Messages: 1}, []push{ok(1), force(1), force(1), no(1)}},
		{"force, beyond bytes", Limits{Bytes: 10}, []push{ok(10), force(10), no(0), force(100)}},
		{"force takes room", Limits{Messages: 2}, []push{force(1), ok(1), no(1)}},
		{"negative limits take nothing", Limits{Messages: -1, Bytes: -1}, []push{no(0), force(1)}},
		{"default bytes", Limits{}, []push{ok(DefaultBytes - 1), no(2), ok(1), no(1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var q Queue[string]
			for i, p := range test.pushes {
				if got := q.Push(new("m"), p.size, test.limits, p.force); got != p.want {
					m, b := q.Charged()
					t.Fatalf("push %d %+v: admitted %v; %d messages and %d bytes are charged", i, p, got, m, b)
				}
			}
		})
	}
}

func TestFullByDefault(t *testing.T) {
	var q Queue[string]
	n := 0
	for q.Push(new("m"), 0, Limits{}, false) {
		if n++; n > DefaultMessages {
			break
		}
	}
	if n != DefaultMessages {
		t.Errorf("%d messages admitted, want %d", n, DefaultMessages)
	}
	if !q.Push(new("m"), 0, Limits{}, true) {
		t.Error("refused by force")
	}
}

// What is charged is what was not released, wherever it is.
func TestChargedUntilReleased(t *testing.T) {
	one := Limits{Messages: 3, Bytes: 30}
	var q Queue[string]
	q.Push(new("a"), 10, one, false)
	q.Push(new("b"), 10, one, false)
	q.Push(new("c"), 10, one, false)
	q.Pop()
	q.Remove(func(s string) bool { return s == "c" })
	q.Drain(func(string) {})
	wantCharged(t, &q, 3, 30)
	if q.Push(new("d"), 0, one, false) {
		t.Error("admitted while the handlers of three messages run")
	}
	q.Release(1, 10)
	wantCharged(t, &q, 2, 20)
	if !q.Push(new("d"), 10, one, false) {
		t.Error("refused although a message was released")
	}
	q.PushFront(new("e"), 10)
	wantCharged(t, &q, 4, 40)
	for range 4 {
		q.Release(1, 10)
	}
	wantCharged(t, &q, 0, 0)
}

// A large message is not shut out by a handler that runs, only by one that waits.
func TestOversizeWhileAHandlerRuns(t *testing.T) {
	l := Limits{Bytes: 10}
	var q Queue[string]
	q.Push(new("small"), 5, l, false)
	q.Pop()
	if !q.Push(new("large"), 50, l, false) {
		t.Fatal("refused although nothing waits")
	}
	q.Pop()
	if q.Push(new("large"), 50, l, false) {
		t.Fatal("a second one is admitted while the first is charged")
	}
}

func TestReleaseOfWhatIsNotCharged(t *testing.T) {
	for name, release := range map[string]func(q *Queue[string]){
		"twice":    func(q *Queue[string]) { q.Release(1, 5); q.Release(1, 0) },
		"too much": func(q *Queue[string]) { q.Release(1, 6) },
		"too many": func(q *Queue[string]) { q.Release(2, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			var q Queue[string]
			q.Push(new("d"), 5, Limits{}, false)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			release(&q)
		})
	}
}

func TestOrder(t *testing.T) {
	data := func(q *Queue[string], items ...string) {
		for _, s := range items {
			q.Push(&s, 1, Limits{}, false)
		}
	}
	for _, test := range []struct {
		name string
		do   func(q *Queue[string])
		want string
	}{
		{"nothing", func(q *Queue[string]) {}, ""},
		{"data in order", func(q *Queue[string]) { data(q, "1", "2", "3", "4", "5") }, "1 2 3 4 5"},
		{"chained, data", func(q *Queue[string]) { data(q, "1"); q.PushFront(new("x"), 1) }, "x 1"},
		{"those who overtake keep their order", func(q *Queue[string]) {
			data(q, "1")
			q.PushFront(new("x"), 1)
			q.PushFront(new("y"), 1)
			data(q, "2")
			q.PushFront(new("z"), 1)
		}, "x y z 1 2"},
		{"removed from the middle", func(q *Queue[string]) {
			data(q, "1", "2", "3", "4")
			q.Remove(func(s string) bool { return s == "3" })
		}, "1 2 4"},
		{"removed from a ring that has gone round", func(q *Queue[string]) {
			data(q, "1", "2", "3", "4")
			q.Pop()
			q.Pop()
			q.Pop()
			data(q, "5", "6", "7")
			q.Remove(func(s string) bool { return s == "6" })
		}, "4 5 7"},
		{"of two matches the first", func(q *Queue[string]) {
			data(q, "1", "same", "2", "same")
			q.Remove(func(s string) bool { return s == "same" })
		}, "1 2 same"},
		{"removed from the chained first", func(q *Queue[string]) {
			data(q, "same")
			q.PushFront(new("x"), 1)
			q.PushFront(new("same"), 1)
			q.Remove(func(s string) bool { return s == "same" })
		}, "x same"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var q Queue[string]
			test.do(&q)
			if got := order(&q); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if q.Len() != 0 {
				t.Errorf("%d left after Drain", q.Len())
			}
		})
	}
}

func TestRemoveNothing(t *testing.T) {
	var q Queue[string]
	never := func(string) bool { return true }
	if s, ok := q.Remove(never); ok {
		t.Errorf("%q removed from an empty queue", s)
	}
	q.Push(new("1"), 1, Limits{}, false)
	if s, ok := q.Remove(func(s string) bool { return s == "2" }); ok {
		t.Errorf("%q removed, which did not match", s)
	}
	if got := order(&q); got != "1" {
		t.Errorf("left: %q", got)
	}
}

func TestSizeAtRest(t *testing.T) {
	if size := unsafe.Sizeof(Queue[*int]{}); size > 64 {
		t.Errorf("a queue at rest takes %d bytes, want at most 64", size)
	}
}

// held returns how many chunks a lane holds.
func held[T any](r *lane[T]) (n int) {
	for k := r.head; k != nil; k = k.next {
		n++
	}
	return n
}

// After a burst nothing is kept but one chunk, and after Trim not even that.
func TestMemoryIsLetGo(t *testing.T) {
	const burst = 5000
	none := Limits{Messages: burst}
	var q Queue[*int]
	item := new(int)
	for range burst {
		q.Push(&item, 0, none, false)
	}
	if n := held(&q.data); n != (burst+perChunk-1)/perChunk {
		t.Errorf("%d messages wait in %d chunks", burst, n)
	}
	for q.data.n > 3 {
		q.Pop()
	}
	for range 3 * perChunk { // in steady use, too
		if n := held(&q.data); n > 2 {
			t.Fatalf("%d messages wait in %d chunks", q.data.n, n)
		}
		q.Push(&item, 0, none, true)
		q.Pop()
	}
	for q.Len() > 0 {
		q.Pop()
	}
	q.PushFront(&item, 0)
	q.Pop()
	for name, r := range map[string]*lane[*int]{"data": &q.data, "front": q.front} {
		if n := held(r); n != 1 {
			t.Errorf("%s: an empty lane holds %d chunks", name, n)
		}
	}
	q.Trim()
	if q.data.head != nil || q.front != nil {
		t.Error("Trim of an empty queue leaves a chunk")
	}
}

// Queues of one owner use each other's memory, and see nothing of what was in it.
func TestSharedMemory(t *testing.T) {
	var memory Chunks[string]
	var a, b Queue[string]
	a.Share(&memory)
	b.Share(&memory)
	for range 3 {
		for n := range 3*perChunk + 1 {
			a.Push(new(fmt.Sprint("a", n)), 0, Limits{}, true)
			b.Push(new(fmt.Sprint("b", n)), 0, Limits{}, true)
		}
		for n := range 3*perChunk + 1 {
			if s, ok := a.Pop(); !ok || s != fmt.Sprint("a", n) {
				t.Fatalf("the %dth of a is %q", n, s)
			}
			if s, ok := b.Pop(); !ok || s != fmt.Sprint("b", n) {
				t.Fatalf("the %dth of b is %q", n, s)
			}
		}
		a.Trim()
	}
}

func TestTrimLeavesWhatWaits(t *testing.T) {
	var q Queue[string]
	q.Push(new("1"), 1, Limits{}, false)
	q.PushFront(new("x"), 1)
	q.Trim()
	if got := order(&q); got != "x 1" {
		t.Errorf("after Trim: %q", got)
	}
}

// What left the queue, by whatever door, is no longer reachable through it.
func TestNothingIsRetained(t *testing.T) {
	var q Queue[*[64]byte]
	var left []weak.Pointer[[64]byte]
	push := func(push func(item *[64]byte)) {
		item := new([64]byte)
		left = append(left, weak.Make(item))
		push(item)
	}
	for range 6 {
		push(func(item *[64]byte) { q.Push(&item, 0, Limits{}, false) })
	}
	push(func(item *[64]byte) { q.PushFront(&item, 0) })
	third := left[2]
	q.Remove(func(item *[64]byte) bool { return item == third.Value() })
	for q.Len() > 0 {
		q.Pop()
	}
	runtime.GC()
	for i, p := range left {
		if p.Value() != nil {
			t.Errorf("item %d is still reachable", i)
		}
	}
	if held(&q.data) == 0 {
		t.Error("the memory is gone too, so this proves nothing")
	}
	runtime.KeepAlive(&q)
}

func TestSteadyUseAllocatesNothing(t *testing.T) {
	for _, depth := range []int{1, 64} {
		var q Queue[*int]
		q.Share(new(Chunks[*int]))
		item := new(int)
		turn := func() {
			for range depth {
				q.Push(&item, 1, Limits{}, false)
			}
			for range depth {
				q.Pop()
				q.Release(1, 1)
			}
		}
		turn()
		if n := testing.AllocsPerRun(100, turn); n != 0 {
			t.Errorf("filled with %d and emptied: %v allocations", depth, n)
		}
	}
}

func ExampleQueue() {
	var q Queue[string]
	limits := Limits{Messages: 1}
	fmt.Println(q.Push(new("work"), 4, limits, false))
	fmt.Println(q.Push(new("more work"), 9, limits, false)) // full
	for {
		item, ok := q.Pop()
		if !ok {
			break
		}
		fmt.Println(item)
	}
	fmt.Println(q.Push(new("more work"), 9, limits, false)) // the handler of "work" still runs
	q.Release(1, 4)
	fmt.Println(q.Push(new("more work"), 9, limits, false))
	// Output:
	// true
	// false
	// work
	// false
	// true
}

// What was taken together is where it waited: a copy would cost whoever holds the lock.
// Its memory is used again, without what was in it.
func TestRunsAreNotCopied(t *testing.T) {
	var memory Chunks[*int]
	var q Queue[*int]
	q.Share(&memory)
	for i := range 3 * perChunk {
		q.Push(new(&i), 0, Limits{}, false)
	}
	q.Pop()
	first := &q.data.head.items[1]
	var r Run[*int]
	q.TakeRun(&r, 2*perChunk+3)
	if r.Len() != 2*perChunk-1 || r.At(0) != first || **r.At(0) != 1 || **r.At(r.Len() - 1) != 2*perChunk-1 {
		t.Errorf("%d were taken, of which the first is moved: %v", r.Len(), r.At(0) != first)
	}
	chunk := r.chunks[0]
	q.Free(&r)
	if r.Len() != 0 || chunk.items != [perChunk]*int{} {
		t.Errorf("%d are left, of %v", r.Len(), chunk.items)
	}
	q.TakeRun(&r, MaxRun)
	if r.Len() != perChunk || q.Len() != 0 {
		t.Errorf("%d were taken, and %d wait", r.Len(), q.Len())
	}
}

// A run has MaxRun messages at most, wherever in its chunk the first is, and in order.
func TestLongestRun(t *testing.T) {
	for before := range perChunk {
		var q Queue[int]
		n := 0
		for i := range before + 3*MaxRun {
			q.Push(&i, 0, Limits{}, false)
		}
		for range before {
			q.Pop()
			n++
		}
		for q.Len() > 0 {
			var r Run[int]
			q.TakeRun(&r, 1000)
			if r.Len() == 0 || r.Len() > MaxRun {
				t.Fatalf("%d were taken", r.Len())
			}
			for i := range r.Len() {
				if *r.At(i) != n {
					t.Fatalf("%d instead of %d", *r.At(i), n)
				}
				n++
			}
			q.Free(&r)
		}
	}
}

// What was freed is used again.
func TestRunsCostNoMemory(t *testing.T) {
	var memory Chunks[[8]int]
	var q Queue[[8]int]
	q.Share(&memory)
	var r Run[[8]int]
	if n := testing.AllocsPerRun(200, func() {
		for range MaxRun {
			q.Push(new([8]int{}), 0, Limits{}, true)
		}
		for q.Len() > 0 {
			q.TakeRun(&r, MaxRun)
			q.Free(&r)
		}
	}); n > MaxRun/perChunk-1 { // the race detector has a pool forget some of what it is given
		t.Errorf("%v allocations for each row of %d", n, MaxRun)
	}
}

func BenchmarkPushPop(b *testing.B) {
	for _, depth := range []int{1, 64, 4096} {
		b.Run(fmt.Sprintf("waiting=%d", depth), func(b *testing.B) {
			var q Queue[*int]
			item := new(int)
			for range depth - 1 {
				q.Push(&item, 1, Limits{}, false)
			}
			b.ReportAllocs()
			for b.Loop() {
				q.Push(&item, 1, Limits{}, false)
				q.Pop()
				q.Release(1, 1)
			}
		})
	}
}

func BenchmarkBurst(b *testing.B) {
	var q Queue[*int]
	item := new(int)
	b.ReportAllocs()
	for b.Loop() {
		for range 4096 {
			q.Push(&item, 1, Limits{}, false)
		}
		for range 4096 {
			q.Pop()
			q.Release(1, 1)
		}
	}
}

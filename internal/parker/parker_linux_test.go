package parker

import (
	"os"
	"sync"
	"testing"
	"time"
)

// a returns a Parker.
func a(t *testing.T) *Parker {
	t.Helper()
	p := New()
	if p == nil {
		t.Fatal("there is none")
	}
	t.Cleanup(p.Close)
	return p
}

// Two that wake each other again and again miss no wake-up.
func TestPark(t *testing.T) {
	const rounds = 20_000
	var both sync.WaitGroup
	p, q := a(t), a(t)
	c, d := make(chan bool, 1), make(chan bool, 1)
	play := func(own, other *Parker, in, out chan bool) {
		for range rounds {
			if !own.Park(in) {
				t.Error("it was closed")
				return
			}
			<-in
			out <- true
			other.Unpark()
		}
	}
	both.Go(func() { play(p, q, c, d) })
	both.Go(func() { play(q, p, d, c) })
	c <- true
	p.Unpark()
	both.Wait()
}

// Who wakes may be many, at any moment.
func TestUnparkByMany(t *testing.T) {
	const wakers, each = 4, 5000
	p := a(t)
	c := make(chan bool, wakers)
	var all sync.WaitGroup
	for range wakers {
		all.Go(func() {
			for range each {
				c <- true
				p.Unpark()
			}
		})
	}
	for range wakers * each {
		if !p.Park(c) {
			t.Fatal("it was closed")
		}
		<-c
	}
	all.Wait()
}

func TestCloseWakes(t *testing.T) {
	p := a(t)
	woken := make(chan bool)
	go func() { woken <- p.Park(make(chan bool, 1)) }()
	closed := make(chan bool)
	time.AfterFunc(10*time.Millisecond, func() { p.Close(); close(closed) }) // most often it is parked by then
	if <-woken {
		t.Error("it says that there is something")
	}
	<-closed // or it would still count
	if p.Park(make(chan bool, 1)) {
		t.Error("one that is closed parks")
	}
}

// A second one does not park where one is, and keeps the first one from nothing.
func TestOneParks(t *testing.T) {
	p := a(t)
	c, looked := make(chan bool, 1), make(chan bool, 1)
	look := p.look
	p.look = func(fd uintptr) bool {
		defer func() {
			select {
			case looked <- true:
			default:
			}
		}()
		return look(fd)
	}
	first := make(chan bool)
	go func() { first <- p.Park(c) }()
	<-looked
	if p.Park(make(chan bool, 1)) {
		t.Error("a second one says that there is something")
	}
	c <- true
	p.Unpark()
	if !<-first {
		t.Error("the first one says that there is nothing")
	}
}

// A wake-up that comes late goes nowhere, also where the descriptor is somebody else's.
func TestUnparkClosed(t *testing.T) {
	p := a(t)
	fd := p.file.Fd()
	p.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if r.Fd() != fd && w.Fd() != fd {
		t.Logf("the descriptor %d was not used again", fd)
	}
	p.Unpark()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _ := r.Read(make([]byte, 8)); n > 0 {
		t.Errorf("%d bytes were written to who has the descriptor now", n)
	}
}

// One that was woken late is not fit for a while, the longer the more often in a row.
func TestDoubt(t *testing.T) {
	p := a(t)
	c := make(chan bool, 1)
	park := func(age time.Duration) {
		t.Helper()
		over, looked := make(chan bool), make(chan bool, 1)
		look := p.look
		p.look = func(fd uintptr) bool {
			there := look(fd)
			select {
			case looked <- there:
			default:
			}
			return there
		}
		defer func() { p.look = look }()
		go func() { over <- p.Park(c) }()
		if <-looked {
			t.Fatal("it found what was not there")
		}
		p.doubt.woken.Store(int64(time.Since(epoch) - age))
		c <- true
		p.wake()
		if !<-over {
			t.Fatal("it was closed")
		}
		<-c
	}
	unfit := func() (n int) {
		for ; !p.Fit(); n++ {
		}
		return n
	}
	for _, want := range []int{64, 128, 256} {
		park(time.Second)
		if n := unfit(); n != want {
			t.Errorf("it was not fit %d times, want %d", n, want)
		}
	}
	for range 10 {
		park(time.Second)
	}
	if n := unfit(); n != mostDoubt {
		t.Errorf("it was not fit %d times, want %d", n, mostDoubt)
	}
	for range 100 { // the machine may be slow once
		if park(-time.Hour); p.doubt.next == 0 {
			break
		}
	}
	if n := unfit(); n != 0 {
		t.Errorf("it was not fit %d times, though it was woken in time", n)
	}
	if park(time.Second); unfit() != 64 {
		t.Error("it remembers what is long over")
	}
}

// There are so many, and no more.
func TestMost(t *testing.T) {
	var all []*Parker
	for range most {
		all = append(all, a(t))
	}
	if New() != nil {
		t.Errorf("there is one more than %d", most)
	}
	all[0].Close()
	all[0].Close() // gives back one
	p := New()
	if p == nil {
		t.Fatal("one that was given back is not there")
	}
	p.Close()
	if !all[1].Take() || all[1].Take() {
		t.Error("two have it, or nobody")
	}
	if all[1].Free(); !all[1].Take() {
		t.Error("it was not given back")
	}
	if (*Parker)(nil).Take() || (*Parker)(nil).Fit() {
		t.Error("none is fit")
	}
}

package load

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// spawnBatch is how many actors a turn of Spawn starts, unless Work counts less.
const spawnBatch = 50_000

// measureLocal does one turn within this process.
func measureLocal(ctx context.Context, l Local, f Figure, w Work) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, w.each()+grace)
	defer cancel()
	if f.Shape == Spawn {
		return localSpawn(ctx, l, w)
	}
	a, err := l.Start(ctx)
	if err != nil {
		return Result{}, err
	}
	defer a.Stop()
	switch f.Shape {
	case LocalAsk:
		return localAsk(ctx, a, f, w)
	case LocalTell:
		return localTell(ctx, a, w)
	}
	return Result{}, fmt.Errorf("figure %s is not one within a process", f.Name)
}

func localAsk(ctx context.Context, a LocalActor, f Figure, w Work) (Result, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var over atomic.Bool
	var total atomic.Int64
	var each sync.WaitGroup
	start := time.Now()
	timer := time.AfterFunc(w.each(), func() { over.Store(true) })
	defer timer.Stop()
	for i := range f.InFlight {
		ask := a.Asker()
		limit := int64(max((w.Count+f.InFlight-1-i)/f.InFlight, 1))
		if w.Count == 0 {
			limit = -1
		}
		each.Go(func() {
			n := int64(0)
			for ; n != limit && !over.Load(); n++ {
				v := int64(i)<<40 + n
				if got, err := ask(ctx, v); err != nil {
					fail(err)
					return
				} else if got != v {
					fail(fmt.Errorf("ask %d was answered %d", v, got))
					return
				}
			}
			total.Add(n)
		})
	}
	each.Wait()
	r := Result{Count: total.Load(), Took: time.Since(start)}
	return r, context.Cause(ctx)
}

func localTell(ctx context.Context, a LocalActor, w Work) (Result, error) {
	start := time.Now()
	sent := int64(0)
	for ; ; sent++ {
		if sent > 0 && (sent == int64(w.Count) || sent%256 == 0 && time.Since(start) >= w.each()) {
			break
		}
		if err := a.Tell(ctx, sent); err != nil {
			return Result{}, err
		}
	}
	told, err := a.Told(ctx)
	took := time.Since(start)
	if err == nil && told != sent {
		err = fmt.Errorf("%d messages were sent one way, %d arrived", sent, told)
	}
	return Result{Count: sent, Took: took}, err
}

func localSpawn(ctx context.Context, l Local, w Work) (Result, error) {
	n := spawnBatch
	if w.Count > 0 {
		n = min(n, w.Count)
	}
	before := inUse()
	start := time.Now()
	stop, err := l.Spawn(ctx, n)
	took := time.Since(start)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	bytes := float64(inUse()) - float64(before)
	return Result{Count: int64(n), Took: took, Bytes: max(bytes, 0) / float64(n)}, nil
}

// inUse returns the memory of the heap and of stacks, without garbage.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

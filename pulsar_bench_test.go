//go:build linux

package arbiter_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
)

// BenchmarkRoutedPulsar has one actor of pulsar ask another through an arbiter. The two
// are processes of their own, so that the processor time of this one, cpu-µs/ask, is the
// arbiter's. They write each message by itself, as Python's asyncio does; with a pace they
// take that long over each, as Python does, and as much of the processor.
func BenchmarkRoutedPulsar(b *testing.B) {
	for _, pace := range []time.Duration{0, 25 * time.Microsecond} {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("pace %v/%d in flight", pace, n), func(b *testing.B) {
				arb, err := arbiter.Start(b.Context(), arbiter.Options{
					Name: "bench", Logger: quiet, Pulsar: arbiter.PulsarOptions{Bind: "127.0.0.1:0", AIDs: []string{"alpha001", "beta0002"}},
				})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = arb.Stop(context.Background()) }) // after the end of the two
				address := strings.TrimPrefix(arb.Addresses()[0], "pulsar:")
				_, ready := pairProcess(b, "answerer", address, "beta0002", "", n, pace)
				ready()
				orders, ready := pairProcess(b, "asker", address, "alpha001", "beta0002", n, pace)
				ready()
				ask := func(n int) {
					fmt.Fprintln(orders, n)
					ready()
				}
				ask(256)
				before, _ := processorTime()
				b.ReportAllocs()
				b.ResetTimer()
				ask(b.N)
				b.StopTimer()
				after, _ := processorTime()
				b.ReportMetric(float64((after-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/ask")
			})
		}
	}
}

// pairProcess starts one of a pair. What it returns waits for its next line.
func pairProcess(b *testing.B, role, address, aid, other string, inFlight int, pace time.Duration) (orders io.Writer, next func()) {
	cmd := exec.CommandContext(b.Context(), os.Args[0], address, aid, other, fmt.Sprint(inFlight), pace.String())
	cmd.Env = append(os.Environ(), envPair+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	return in, func() {
		if !lines.Scan() {
			b.Fatalf("the %s has ended: %v", role, lines.Err())
		}
	}
}

//go:build unix

package proc

import (
	"testing"
	"time"
)

// BenchmarkFamilyStart is what a process of a family costs from its start to its
// end, by what it takes.
func BenchmarkFamilyStart(b *testing.B) {
	bare := Spec{Path: "/bin/true", Tail: -1}
	bounded := bare
	bounded.Memory, bounded.Processes = 256<<20, 100
	for _, way := range []struct {
		name    string
		options FamilyOptions
		spec    Spec
	}{
		{"bare", FamilyOptions{NoCgroups: true, NoGuard: true}, bare},
		{"guard", FamilyOptions{NoCgroups: true}, bare},
		{"guard,reaper", FamilyOptions{NoCgroups: true, Reap: true}, bare},
		{"guard,cgroup", FamilyOptions{}, bare},
		{"guard,cgroup,bounds", FamilyOptions{}, bounded},
		{"guard,starter", FamilyOptions{NoCgroups: true}, prepared(bare)},
		{"guard,cgroup,starter", FamilyOptions{}, prepared(bare)},
	} {
		b.Run(way.name, func(b *testing.B) {
			f := NewFamily(testSelf, way.options)
			var starts time.Duration
			for b.Loop() {
				began := time.Now()
				p, err := f.Start(way.spec)
				starts += time.Since(began)
				if err != nil {
					b.Fatal(err)
				}
				<-p.Done()
			}
			b.StopTimer()
			b.ReportMetric(float64(starts.Nanoseconds())/float64(b.N), "ns/start")
			if err := f.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

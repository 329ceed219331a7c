package arbiter

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "the one seed of TestSimulation to run")
	simSeeds = flag.Uint64("sim.seeds", 64, "how many seeds TestSimulation runs")
	simFrom  = flag.Uint64("sim.from", 1, "the first of them")
	simSoak  = flag.Duration("sim.soak", 0, "how long TestSimulation goes on with further seeds")
	simOnly  = flag.String("sim.only", "", "the scenario to which TestSimulation keeps")
	simTrace = flag.Bool("sim.trace", false, "print all that happens")
)

// TestSimulation holds the arbiter to docs/contract.md under whatever a seed thinks of.
//
//	go test -run TestSimulation -sim.seed N -v -count 20 .      what a seed does, again
//	go test -run TestSimulation -sim.seeds 1000 .               a couple of minutes
//	go test -run TestSimulation -sim.soak 4h -timeout 5h .      hours
//
// The scenario is the seed's remainder by the number of scenarios. A seed does the same
// again as far as the scheduler does, which is why there is one processor: -race and
// other versions of Go see other orders.
func TestSimulation(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if *simSeed != 0 {
		simulate(t, *simSeed)
		return
	}
	began := time.Now()
	ran := make(map[string]int)
	for seed := *simFrom; seed < *simFrom+*simSeeds || time.Since(began) < *simSoak; seed++ {
		if *simOnly != "" && scenarioOf(seed).name != *simOnly {
			continue
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) }) {
			t.Logf("again: go test -run TestSimulation -sim.seed %d -v .", seed)
		}
		ran[scenarioOf(seed).name]++
	}
	t.Logf("%v in %v", ran, time.Since(began).Round(time.Millisecond))
}

func simulate(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		w := newSim(t, seed)
		s := scenarioOf(seed)
		w.note("seed %d: %s", seed, s.name)
		s.run(w)
		w.finish()
		if *simTrace {
			t.Log(strings.Join(w.history, "\n"))
		}
	})
}

type scenario struct {
	name string
	run  func(w *simWorld)
}

func scenarioOf(seed uint64) scenario { return scenarios[seed%uint64(len(scenarios))] }

var scenarios = []scenario{
	{"mixed", simMixed}, {"flood", simFlood}, {"ring", simRing}, {"crossed", simCrossed}, {"stuck", simStuck},
	{"deaths", simDeaths}, {"cut", simCut}, {"storm", simStorm}, {"restarts", simRestarts}, {"pool", simPool},
	{"skew", simSkew}, {"hostile", simHostile}, {"liars", simLiars}, {"everything", simEverything}, {"windowless", simNoWindows}, {"fair", simFair}, {"mourners", simMourners},
}

package arbiter

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/actor"
)

// TestBeginAfterTheEnd: who was ended by a message while it waited to begin does not begin, and no event
// says so after that of its end.
func TestBeginAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kind := &actor.Kind[struct{}]{Name: "late"}
		arb := knowing(t, kind)
		known, err := arb.learn(kind)
		if err != nil {
			t.Fatal(err)
		}
		i := arb.incarnate(known.spec, known.plain, arb.self, "")
		if failed := arb.enlist(i); failed != nil {
			t.Fatal(failed)
		}
		if err := actor.Stop.Send(arb.Context(t.Context()), i.ref(), actor.None{}); err != nil {
			t.Fatal(err)
		}
		<-i.ended.until()
		i.begin()
		synctest.Wait()
		var types []string
		list, _ := arb.events.since(0)
		for _, e := range list {
			if e.Actor.AID == i.aid {
				types = append(types, e.Type)
			}
		}
		if !slices.Equal(types, []string{"ended"}) {
			t.Errorf("its events: %v", types)
		}
	})
}

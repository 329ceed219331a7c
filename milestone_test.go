package arbiter

import "testing"

// TestMilestone: it is passed once, however often that is said, and whether somebody waits
// or not.
func TestMilestone(t *testing.T) {
	for _, waits := range []bool{false, true} {
		var m milestone
		news := (<-chan struct{})(nil)
		if waits {
			news = m.until()
		}
		if m.passed() {
			t.Error("it was passed before anybody said so")
		}
		m.pass()
		m.pass()
		if !m.passed() {
			t.Error("it was not passed")
		}
		if waits {
			<-news
		}
		<-m.until()
	}
}

package supervise

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestPolicyMistakes(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		want   []string // each in a line of its own, in this order; none: valid
	}{
		{Policy{}, nil},
		{Policy{Jitter: -1, MaxCrashes: -1}, nil},
		{Policy{Jitter: 1, MaxCrashes: MostCrashes, MaxBackoff: math.MaxInt64, Within: math.MaxInt64, Healthy: math.MaxInt64}, nil},
		{Policy{MinBackoff: time.Second, MaxBackoff: time.Second}, nil},
		{Policy{MinBackoff: time.Hour}, nil}, // the default maximum gives way
		{Policy{MaxBackoff: time.Millisecond}, nil},
		{Policy{Restart: 3}, []string{"Restart is 3: want on-failure, always or never"}},
		{Policy{Strategy: 9}, []string{"Strategy is 9: want one-for-one or one-for-all"}},
		{Policy{MinBackoff: -1}, []string{"MinBackoff is -1ns: want a positive duration, or 0 for the default, 200ms"}},
		{Policy{MinBackoff: time.Minute, MaxBackoff: time.Second}, []string{"MaxBackoff is 1s: want no less than MinBackoff, which is 1m"}},
		{Policy{Jitter: 1.5}, []string{"Jitter is 1.5: want 0 to 1"}},
		{Policy{Jitter: math.NaN()}, []string{"Jitter is NaN: want 0 to 1"}},
		{Policy{MaxCrashes: MostCrashes + 1}, []string{"MaxCrashes is 1001: want 1 to 1000"}},
		{
			Policy{Restart: 4, Strategy: 4, MinBackoff: -1, MaxBackoff: -1, Jitter: 2, Healthy: -1, MaxCrashes: 1e6, Within: -1},
			[]string{"Restart", "Strategy", "MinBackoff", "MaxBackoff", "Jitter", "Healthy", "MaxCrashes", "Within"},
		},
	} {
		err := c.policy.Validate()
		_, made := NewGroup(c.policy, nil)
		if len(c.want) == 0 {
			if err != nil || made != nil {
				t.Errorf("%+v: %v; NewGroup: %v", c.policy, err, made)
			}
			continue
		}
		if err == nil || made == nil {
			t.Errorf("%+v was accepted", c.policy)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(c.want) {
			t.Errorf("%+v: %d mistakes, want %d: %v", c.policy, len(lines), len(c.want), err)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(lines[i], "supervise: "+want) {
				t.Errorf("%+v: %q, want %q", c.policy, lines[i], want)
			}
		}
	}
}

func TestPolicyDefaults(t *testing.T) {
	want := Policy{OnFailure, OneForOne, 200 * time.Millisecond, 30 * time.Second, 0.2, 10 * time.Second, 5, time.Minute}
	if got := (Policy{}).WithDefaults(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, p := range []Policy{{}, {MinBackoff: time.Hour}, {MaxBackoff: time.Millisecond}, {Jitter: -2, MaxCrashes: -7}} {
		once := p.WithDefaults()
		if once.MinBackoff > once.MaxBackoff || once.MinBackoff <= 0 {
			t.Errorf("%+v: backoff from %v to %v", p, once.MinBackoff, once.MaxBackoff)
		}
		if twice := once.WithDefaults(); twice != once {
			t.Errorf("%+v: with defaults %+v, again %+v", p, once, twice)
		}
		if once.Validate() != nil {
			t.Errorf("%+v: the defaults make it invalid: %v", p, once.Validate())
		}
	}
	if got := (Policy{Jitter: -2, MaxCrashes: -7}).WithDefaults(); got.Jitter != -2 || got.MaxCrashes != -7 {
		t.Errorf("what is switched off was switched on: %+v", got)
	}
}

func TestPolicyIsReadable(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		want   string
	}{
		{Policy{}, "on-failure, one-for-one, backoff 200ms to 30s, gives up after 5 crashes within 1m"},
		{Policy{Restart: Never}, "never"},
		{
			Policy{Restart: Always, Strategy: OneForAll, MaxBackoff: 90 * time.Minute, MaxCrashes: -1},
			"always, one-for-all, backoff 200ms to 1h30m, never gives up",
		},
		{Policy{MinBackoff: time.Second, MaxCrashes: 1, Within: time.Hour}, "on-failure, one-for-one, backoff 1s to 30s, gives up after 1 crash within 1h"},
	} {
		if got := c.policy.String(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.policy, got, c.want)
		}
	}
}

func TestShortDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 10 * time.Second: "10s", time.Minute: "1m", 10 * time.Minute: "10m", 90 * time.Second: "1m30s",
		time.Hour: "1h", 20 * time.Hour: "20h", time.Hour + time.Second: "1h0m1s", 61 * time.Minute: "1h1m", 80 * time.Minute: "1h20m",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

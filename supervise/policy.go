package supervise

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// What a Policy means where it says nothing, and how far it may go.
const (
	DefaultMinBackoff = 200 * time.Millisecond
	DefaultMaxBackoff = 30 * time.Second
	DefaultJitter     = 0.2
	DefaultHealthy    = 10 * time.Second
	DefaultMaxCrashes = 5
	DefaultWithin     = time.Minute

	// MostCrashes bounds Policy.MaxCrashes, and with it what a Group remembers:
	// 8 bytes for each crash that counts.
	MostCrashes = 1000
)

// Policy says when and how often the children of a group are started again. The
// zero Policy is the default one; each field that is zero has its own default.
type Policy struct {
	// Restart says which ends are followed by a new start. Default: OnFailure.
	Restart Restart `cbor:"restart,omitempty" json:"restart,omitempty"`

	// Strategy says who is started again. Default: OneForOne.
	Strategy Strategy `cbor:"strategy,omitempty" json:"strategy,omitempty"`

	// MinBackoff is the wait before the first start after a crash, before Jitter
	// takes its part. Default: 200 ms, or MaxBackoff if that is shorter. It cannot
	// be switched off: what crashes at once and starts at once keeps a core busy.
	MinBackoff time.Duration `cbor:"minBackoff,omitempty" json:"minBackoff,omitempty"`

	// MaxBackoff is the longest wait. Default: 30 s, or MinBackoff if that is longer.
	MaxBackoff time.Duration `cbor:"maxBackoff,omitempty" json:"maxBackoff,omitempty"`

	// Jitter is the part of each wait that is random, 0 to 1: a wait of 10 s with a
	// Jitter of 0.2 is one between 8 s and 10 s. Default: 0.2; negative: none.
	Jitter float64 `cbor:"jitter,omitempty" json:"jitter,omitempty"`

	// Healthy is how long a child must have lived, from ready to its end or until it
	// fell silent, for the next wait to be MinBackoff again. Default: 10 s. By then what fails at the
	// start (configuration, imports, the first connection) has failed, however long
	// the start took, since it does not count. It need not be longer to be safe: who
	// lives for ten seconds and crashes, again and again, is held by MaxCrashes.
	Healthy time.Duration `cbor:"healthy,omitempty" json:"healthy,omitempty"`

	// MaxCrashes within Within make a child failing; a group whose children are all
	// failing gives up. 1: at the first crash of each. Default: 5; negative: never;
	// at most MostCrashes.
	MaxCrashes int `cbor:"maxCrashes,omitempty" json:"maxCrashes,omitempty"`

	// Within is the time in which MaxCrashes count. Crashes that lie exactly this
	// far apart do not count together. Time in which a child was silent, see End, is
	// not counted. Default: 1 min.
	Within time.Duration `cbor:"within,omitempty" json:"within,omitempty"`
}

// Validate returns all mistakes of p at once, joined as by [errors.Join], or nil.
// Each says which field it is, what it holds and what it may hold.
func (p Policy) Validate() error {
	var errs []error
	wrong := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("supervise: %s is %v: want %s", field, value, want))
	}
	if int(p.Restart) >= len(restarts()) {
		wrong("Restart", uint8(p.Restart), choice(restarts()))
	}
	if int(p.Strategy) >= len(strategies()) {
		wrong("Strategy", uint8(p.Strategy), choice(strategies()))
	}
	duration := func(field string, d, def time.Duration) {
		if d < 0 {
			wrong(field, d, "a positive duration, or 0 for the default, "+short(def))
		}
	}
	duration("MinBackoff", p.MinBackoff, DefaultMinBackoff)
	duration("MaxBackoff", p.MaxBackoff, DefaultMaxBackoff)
	if p.MinBackoff > p.MaxBackoff && p.MaxBackoff > 0 {
		wrong("MaxBackoff", short(p.MaxBackoff), "no less than MinBackoff, which is "+short(p.MinBackoff))
	}
	if p.Jitter > 1 || math.IsNaN(p.Jitter) {
		wrong("Jitter", p.Jitter, fmt.Sprintf("0 to 1 (0 for the default, %v), or a negative number for none", DefaultJitter))
	}
	duration("Healthy", p.Healthy, DefaultHealthy)
	if p.MaxCrashes > MostCrashes {
		wrong("MaxCrashes", p.MaxCrashes, fmt.Sprintf("1 to %d, 0 for the default, %d, or a negative number for no limit", MostCrashes, DefaultMaxCrashes))
	}
	duration("Within", p.Within, DefaultWithin)
	return errors.Join(errs...)
}

// WithDefaults returns p with the defaults in place of the zeros. A negative Jitter
// or MaxCrashes, which switches something off, stays what it is.
func (p Policy) WithDefaults() Policy {
	switch {
	case p.MinBackoff == 0 && p.MaxBackoff == 0:
		p.MinBackoff, p.MaxBackoff = DefaultMinBackoff, DefaultMaxBackoff
	case p.MinBackoff == 0:
		p.MinBackoff = min(DefaultMinBackoff, p.MaxBackoff)
	case p.MaxBackoff == 0:
		p.MaxBackoff = max(DefaultMaxBackoff, p.MinBackoff)
	}
	if p.Jitter == 0 {
		p.Jitter = DefaultJitter
	}
	if p.Healthy == 0 {
		p.Healthy = DefaultHealthy
	}
	if p.MaxCrashes == 0 {
		p.MaxCrashes = DefaultMaxCrashes
	}
	if p.Within == 0 {
		p.Within = DefaultWithin
	}
	return p
}

// String describes p, defaults included, for people: "on-failure, one-for-one,
// backoff 200ms to 30s, gives up after 5 crashes within 1m".
func (p Policy) String() string {
	p = p.WithDefaults()
	if p.Restart == Never {
		return p.Restart.String()
	}
	limit := "never gives up"
	if p.MaxCrashes > 0 {
		limit = "gives up after " + crashes(p.MaxCrashes, p.Within)
	}
	return fmt.Sprintf("%v, %v, backoff %s to %s, %s", p.Restart, p.Strategy, short(p.MinBackoff), short(p.MaxBackoff), limit)
}

// crashes is "1 crash within 1m".
func crashes(n int, within time.Duration) string {
	if n == 1 {
		return "1 crash within " + short(within)
	}
	return fmt.Sprintf("%d crashes within %s", n, short(within))
}

// short writes 1m and 1h where String writes 1m0s and 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

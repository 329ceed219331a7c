package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseDuration parses what a flag says is a duration: more than nothing.
func parseDuration(what string) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			example := "30s or 2m"
			if _, err := strconv.ParseUint(text, 10, 32); err == nil {
				example = text + "s"
			}
			return 0, usage("the %s %q is not a duration, such as %s", what, text, example)
		case d <= 0:
			return 0, usage("the %s %q is not more than nothing", what, text)
		}
		return d, nil
	}
}

// amount is one of memory.
type amount int64

var byteUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, // as docker means them
	{"B", 1},
}

func parseBytes(text string) (amount, error) {
	number, unit := text, 0.0
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = n, u.size
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || unit == 0 || !(n > 0) || n*unit > math.MaxInt64/2 {
		return 0, usage("%q is not an amount of memory, such as 512MiB or 2GiB", text)
	}
	return amount(n * unit), nil
}

// String writes b with three digits, as people say it.
func (b amount) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	n, unit := float64(b), 0
	for n >= 999.5 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	switch {
	case b == 0:
		return ""
	case unit == 0 || n >= 99.95:
		return fmt.Sprintf("%.0f %s", n, units[unit])
	}
	return fmt.Sprintf("%.1f %s", n, units[unit])
}

// age writes a duration as people say it: the more there is, the rougher.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		text := d.Round(time.Second).String()
		if short, ok := strings.CutSuffix(text, "m0s"); ok {
			return short + "m"
		}
		return text
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd%dh", int(d/(24*time.Hour)), int(d%(24*time.Hour)/time.Hour))
}

// used writes a time of which the small ones matter, too.
func used(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return age(d)
}

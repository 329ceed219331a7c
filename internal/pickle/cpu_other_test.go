//go:build !unix

package pickle

import "time"

var began = time.Now()

// cpu is the time that has passed, where nobody says what this process has used of it.
func cpu() time.Duration { return time.Since(began) }

// Package python has the SDK for actors in Python, for programs that bring the file
// along. It is the one beside this: arbiter.py.
package python

import _ "embed"

//go:embed arbiter.py
var source string

// Source returns the text of arbiter.py, which needs Python 3.9 or later and nothing
// else. A program written to the same folder can import it.
func Source() string { return source }

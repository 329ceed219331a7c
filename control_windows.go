package arbiter

import (
	"errors"
	"io/fs"
)

// controlSupported: there is no control socket on Windows yet. Join over TCP, with
// Options.Listen and a token.
const controlSupported = false

var errNoControl = errors.New("there is no control socket on Windows: use Options.Listen with a Token")

func hold(string) (func(), error) { return nil, errNoControl }

func held(string) (bool, error) { return false, nil }

func ownerOf(fs.FileInfo) (int, bool) { return 0, false }

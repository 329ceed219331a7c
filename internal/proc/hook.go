package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// envHelper makes this program, started again, one of this package's helpers: its
// value is the helper's name, a colon and the descriptor of its socket.
const envHelper = "ARBITER_HELPER"

// The helpers.
const (
	helperStarter = "starter" // becomes another program
	helperGuard   = "guard"   // outlives us by a moment
)

// exitNoHelper is how a program ends that was asked to be a helper and cannot be.
const exitNoHelper = 2

// Self is this program as one that can be started again to help this package: to
// prepare a process before its program runs, and to guard all of them.
type Self struct{ exe string }

// Hook is to be called first thing in main, and before anything that costs. In a
// process that was started as a helper it acts as that and never returns.
// Elsewhere it returns what NewFamily needs to start helpers; nil where there are
// none (Windows).
//
// Package initialisation of the whole program runs before it, in helpers too.
func Hook() *Self {
	what := os.Getenv(envHelper)
	if what == "" {
		return self()
	}
	name, number, _ := strings.Cut(what, ":")
	fd, err := strconv.Atoi(number)
	if err != nil {
		fmt.Fprintf(os.Stderr, "arbiter: %s=%s is no order this program knows: unset it\n", envHelper, what)
		os.Exit(exitNoHelper)
	}
	os.Exit(help(name, fd))
	return nil
}

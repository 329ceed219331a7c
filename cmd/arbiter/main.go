// Arbiter hosts actors, and talks to those of other arbiters: see arbiter help.
package main

import "github.com/arbiter-go/arbiter/cli"

func main() { cli.Main() }

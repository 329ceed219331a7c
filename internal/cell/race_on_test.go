//go:build race

package cell

const spoils = true

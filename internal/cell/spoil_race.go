//go:build race

package cell

// spoil overwrites what is about to be used for another message: who was to keep nothing of
// it, and has, finds that out where he looks for races.
func spoil(data []byte) {
	for i := range data {
		data[i] = 0xdb
	}
}

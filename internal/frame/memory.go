package frame

// Memory is what memory that many readers share is asked for. Its methods must not
// block.
type Memory interface {
	// Take asks for n bytes.
	Take(n int) bool
	// Give gives n bytes back.
	Give(n int)
	// Short reports whether there is so little left that nobody should keep what may be of
	// use later.
	Short() bool
}

// SetMemory changes who is asked for the memory that the reader takes beyond the buffer of
// one at rest, before it is taken. Without one it takes what it needs.
func (r *Reader) SetMemory(m Memory) {
	r.memory = m
	r.affords(r.size, cap(r.body)) // what it has already: if that is not granted, it is not counted
}

// Missing returns how many bytes at its end the last message lacks, for want of memory.
func (r *Reader) Missing() int { return r.missing }

// affords asks for what the reader would take with a buffer of size bytes and a body of
// body bytes.
func (r *Reader) affords(size, body int) bool {
	if r.memory == nil {
		return true
	}
	more := size - minBuffer + body - r.taken
	if more > 0 && !r.memory.Take(more) {
		return false
	}
	if more > 0 {
		r.taken += more
	}
	return true
}

// account gives back what is no longer taken.
func (r *Reader) account() { r.accountFor(r.size) }

// accountFor is account for a reader whose buffer has size bytes.
func (r *Reader) accountFor(size int) {
	if r.memory == nil {
		return
	}
	if less := r.taken - (size - minBuffer + cap(r.body)); less > 0 {
		r.memory.Give(less)
		r.taken -= less
	}
}

// grown returns the size of a buffer that holds need bytes.
func (r *Reader) grown(need int) int {
	size := r.size
	for size < need {
		size *= 4
	}
	return size
}

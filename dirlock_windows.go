package arbiter

// lockDir does nothing: what a dead arbiter left is replaced here by whoever is the
// last to see it dead.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }

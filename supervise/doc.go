// Package supervise decides whether an actor that ended is started again, when,
// and from which moment on nobody should try any more.
//
// It is a pure function of time and failures. A [Policy] says what is wanted; a
// [Group] is told how each life of its children ended and answers with a
// [Decision]. It starts nothing, waits for nothing and reads no clock: the time
// stands in every [End], and the caller carries the decision out. So it is the same
// for goroutines, processes and whatever dials in from elsewhere, and an hour of
// crashes is tested in a microsecond.
//
// # Waiting
//
// The first start after a crash waits for Policy.MinBackoff, each one after it twice
// as long as the last, up to Policy.MaxBackoff. A life of at least Policy.Healthy
// begins anew. Every child has its own wait. Jitter takes a random part of the wait
// away, so that workers which fell together do not come back together.
//
// # Giving up
//
// A child is failing when it crashed Policy.MaxCrashes times within Policy.Within,
// until it has lived for Policy.Healthy; who did not end again for Within, after its
// start was due, is taken to live. The group gives up when all of its children are
// failing. Therefore
//
//   - a group of one gives up at its fifth crash within a minute;
//   - eight workers that fall together, because the database went away, have each
//     used up one of five, and the pool lives;
//   - eight workers that cannot start have all crashed five times within seconds,
//     and the pool gives up;
//   - one bad worker among eight is tried again, in the end every MaxBackoff, while
//     the other seven work. The decision says that it is failing;
//   - a worker that crashes regularly but seldom goes on for ever.
//
// Counting all crashes of the group together, as Erlang's supervisors do, would make
// the limit depend on the size of the pool: a pool of eight would not survive that
// its workers fall together once. systemd and supervisord count for each process
// alone, and so does this package; but they give up on each alone too, and a slot
// that is empty for good is seen by nobody as long as the others carry its load.
// Kubernetes tries such a one again at the longest wait, which costs next to
// nothing and heals by itself. So it is here, until no child is left that works:
// then it is the program, its configuration or what it depends on that is broken,
// and callers are better off with an error than with a wait.
//
// Whoever wants each child to be given up alone makes a group for each.
//
// # One for all
//
// With [OneForAll] the children are one: they share one wait and one count, and the
// crash of any of them starts all again: the decision about it is StartAll, upon which
// the caller ends the others. Children that fall with the first one, or because of it,
// are no further crashes; each is to be started when the first one is.
package supervise

// Package conformance holds every SDK, and the Go client, to the same behaviour. It
// has tests only, and what they check is data:
//
//   - testdata/frames.json: frames and what is in them, replayed by the unit tests
//     of each SDK and by those here.
//   - testdata/dialogues.json: what an arbiter says to one worker, and what is to
//     come back. dialogue_test.go is that arbiter: a small one, which can break
//     every rule.
//   - testdata/cases.json: what one actor asks of another, and what is to come of it.
//     Each worker runs them, in its own language, against a worker of each language,
//     under a real arbiter.
//
// The worker of a language is a program with the same commands everywhere: see
// sdk/python/conformance_worker.py. A new language needs one, and a line in
// workers_test.go.
package conformance

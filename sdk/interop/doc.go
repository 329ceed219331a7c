// Package interop proves that actors of every language and profile understand each
// other: each asks each the same things, and what came of it stands in
// docs/interop.md beside what was expected. It has tests only.
//
//   - testdata/expected.json: what is to come of it, as docs/contract.md, docs/json.md
//     and docs/pulsar.md have it. It is written by hand.
//   - testdata/seen.json: what came of it, the last time.
//
// pulsar is no part of this repository: without a command that starts its actors, what
// was seen of it is kept. The whole table:
//
//	go test ./sdk/interop -update-docs \
//	  -pulsar164 'env PYTHONPATH=/path/of/1.6.4 python3.6 {worker} {host} {port} {aid} {name}' \
//	  -pulsar202 'env PYTHONPATH=/path/of/2.0.2 python3.6 {worker} {host} {port} {aid} {name}'
package interop

// Package pickle reads and writes pickles of protocol 2, the messages of pulsar,
// without ever executing one.
//
// What it guarantees:
//
//   - Inert. A pickle is a program: GLOBAL names any function of Python, REDUCE
//     calls it. Here neither looks anything up. A few known calls become values of
//     their own types (bytes, sets, dates, …; see [Value]); every other one is kept
//     as an [Object] that can be written again, whole, and does nothing.
//   - Strict. What CPython's pickler does not write in protocol 2 is refused, with the
//     opcode, where it stands and why: other protocols, other opcodes, memo entries
//     out of order, values left over, bytes after STOP, a call whose result is
//     dropped. What was read is written anew by [Append], or opcode by opcode by
//     [Plain], never passed on as it came: so no reader further on can see another
//     message in it.
//   - Identity. What is shared stays shared, and what holds itself does: a value that
//     stands in many places is one, is paid for once and written once.
//   - Bounded. Message, memory, depth and the length of integers have limits
//     ([Limits]); a length is checked against what remains before anything is
//     allocated; nothing recurs as deep as the message says.
//
// What CPython pickled, Append(Decode(p)) writes again byte for byte, as CPython's
// pickler in C does: the same opcodes, batches and memo entries. Otherwise equal, but
// not the same bytes, come out: bytes of one byte whose character was in the memo
// already, objects that hold themselves in their arguments, and dicts of a multiple
// of 1,000 pairs, after which CPython writes an empty SETITEMS.
//
// Sources: the opcodes are described in CPython's Lib/pickletools.py, whose names
// errors use; how they are emitted in Lib/pickle.py and Modules/_pickle.c, and how
// a type describes itself in its __reduce_ex__; the shape of an ActorProxy was seen
// on the wire of pulsar 1.6.4 and 2.0.2. The tests replay what these two said.
//
// Not supported: protocols 0, 1 and 3 to 5; persistent ids (PERSID, BINPERSID) and
// extension codes (EXT1, EXT2, EXT4), which name things outside of the message; a
// function that sets the state of an object (the sixth item of __reduce__, Python
// 3.8), because it is a call whose result is dropped.
//
// The functions may be called from any goroutine.
package pickle

// Package cell is one actor at run time: its inbox, its turn, its handlers and
// their contexts, from start to end.
//
// A cell knows nothing of connections. Its Host (the arbiter, or the program that
// joined one) carries what its handlers send, is handed every outcome and told of the
// end. A cell at rest holds no goroutine and no timer: a message
// that finds it idle has a worker of its host's Commons work until the inbox is empty.
//
// Modes decide who may run at a time. Serial: one handler, in order. Interleaved:
// one handler, but while it waits in a call others may start. Concurrent: up to a
// limit, started in order.
//
// All methods of Cell may be called from any goroutine. Lock order: a cell's lock
// is taken last but for a turn's and that of Commons; no callback of Host
// runs under any, but Host.Commons, which only says what it is.
package cell

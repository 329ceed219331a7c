// Package arbiter hosts actors: it starts them, in goroutines or in processes of
// their own, carries their messages, and tells whoever needs to know when they
// end. Actors themselves are written with the package actor.
//
//	func main() { arbiter.Main(run, Counter) }
//
//	func run(ctx context.Context, arb *arbiter.Arbiter) error {
//		c, err := arb.Spawn(ctx, Counter, actor.Process(), actor.Name("tally"))
//		if err != nil {
//			return err
//		}
//		n, err := Add.Call(ctx, c, 5)
//		…
//	}
//
// What a sender may rely on is in docs/contract.md; how a message travels, file by
// file, in docs/architecture.md; the bytes in docs/protocol.md.
package arbiter

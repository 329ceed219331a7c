// Ask has two actors in processes of their own ask each other, by name, through
// the arbiter.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// The protocol: a reader counts the words of a text, for which it asks a
// dictionary about each of them.
var (
	Count = actor.NewCommand[string, Report]("count", actor.Doc("counts the words of a text that are known"))
	Known = actor.NewCommand[string, bool]("known", actor.Doc("says whether a word is known"))
	Where = actor.NewCommand[actor.None, int]("where", actor.Doc("says in which process it is"))
)

// Report is what a reader found.
type Report struct {
	Words int `cbor:"words" json:"words"`
	Known int `cbor:"known" json:"known"`
}

type dictionary struct{ words map[string]bool }

func (d *dictionary) Known(_ context.Context, word string) (bool, error) { return d.words[word], nil }

// Dictionary knows some words.
var Dictionary = &actor.Kind[*dictionary]{
	Name: "dictionary",
	New: func(context.Context) (*dictionary, error) {
		return &dictionary{map[string]bool{"the": true, "message": true, "recipient": true, "exists": true}}, nil
	},
	Handlers: []actor.Handler[*dictionary]{actor.Handle(Known, (*dictionary).Known), actor.Handle(Where, where[*dictionary])},
}

// count asks for all words at once, and then waits for the answers.
func count(_ actor.None, ctx context.Context, text string) (Report, error) {
	var r Report
	var pending []*actor.Pending[bool]
	for _, word := range strings.Fields(text) {
		pending = append(pending, Known.Start(ctx, actor.To("dictionary"), word))
	}
	for _, p := range pending {
		known, err := p.Wait()
		if err != nil {
			return r, err
		}
		r.Words++
		if known {
			r.Known++
		}
	}
	return r, nil
}

func where[S any](S, context.Context, actor.None) (int, error) { return os.Getpid(), nil }

// Reader counts words.
var Reader = &actor.Kind[actor.None]{
	Name:     "reader",
	Handlers: []actor.Handler[actor.None]{actor.Handle(Count, count), actor.Handle(Where, where[actor.None])},
}

func main() { arbiter.Main(run, Dictionary, Reader) }

func run(ctx context.Context, arb *arbiter.Arbiter) error {
	dict, err := arb.Spawn(ctx, Dictionary, actor.Process(), actor.Name("dictionary"))
	if err != nil {
		return err
	}
	reader, err := arb.Spawn(ctx, Reader, actor.Process(), actor.Name("reader"))
	if err != nil {
		return err
	}
	r, err := Count.Call(ctx, reader, "the message is guaranteed to reach the recipient provided that the recipient exists")
	if err != nil {
		return err
	}
	a, err := Where.Call(ctx, dict, actor.None{})
	if err != nil {
		return err
	}
	b, err := Where.Call(ctx, reader, actor.None{})
	if err != nil {
		return err
	}
	fmt.Printf("%d of %d words are known\n", r.Known, r.Words)
	if a != b && a != os.Getpid() {
		fmt.Println("three processes took part")
	}
	return nil
}

package cli

import (
	"fmt"
	"strings"
	"time"
)

// ending is what a demonstration came to.
type ending struct {
	balance balance
	totals  totals
	lost    []error // why tiles could not be had
	ill     []string
	unsaved error
	took    time.Duration
}

// account is an ending for programs.
type account struct {
	Picture string         `json:"picture"`
	Width   int            `json:"width"`
	Height  int            `json:"height"`
	Seed    uint64         `json:"seed"`
	Frames  int            `json:"frames"`
	Tiles   int            `json:"tiles"`
	Workers map[string]int `json:"workers"` // how many tiles came from whom

	Coloured   map[string]int `json:"coloured"`   // and who coloured how many
	ColouredIn string         `json:"colouredIn"` // "Python 3.11.7", or "goroutines"

	Deeds   map[string]int `json:"deeds"`  // what chaos did
	Deaths  int            `json:"deaths"` // of workers, whoever caused them
	Healed  int            `json:"healed"`
	Again   int            `json:"again"`   // calls made again because their worker died
	Slowest float64        `json:"slowest"` // seconds from a deed to the next worker, at most
	Seconds float64        `json:"seconds"`
}

// tell says how it ended. It fails if anything was lost or is not whole again.
func (d *demo) tell(end ending) error {
	if err := d.loss(end); err != nil {
		return err
	}
	if end.unsaved != nil {
		return d.cannotWrite(end.unsaved)
	}
	t := end.totals
	if d.drawn { // otherwise it is said already
		d.saySorry()
	}
	fmt.Fprintf(d.app.err, "%s of %s in %s, and each came exactly once\n", count(end.balance.Tiles, "tile"), count(end.balance.Frames, "frame"), seconds(end.took))
	var did []string
	deedsDone := make(map[string]int)
	for n, times := range t.Deeds {
		if times > 0 {
			deedsDone[deed(n).String()] = times
			did = append(did, fmt.Sprintf("%d %v", times, deed(n)))
		}
	}
	if len(did) > 0 {
		fmt.Fprintf(d.app.err, "chaos: %s  (again: --seed %d)\n", strings.Join(did, ", "), d.seed)
	}
	switch {
	case t.Deaths == 1:
		fmt.Fprintf(d.app.err, "1 death, and another worker followed after %s; %s made again\n", seconds(t.Slowest), count(t.Again, "call"))
	case t.Deaths > 1:
		fmt.Fprintf(d.app.err, "%d deaths, and each time another worker followed, after %s at most; %s made again\n", t.Deaths, seconds(t.Slowest), count(t.Again, "call"))
	}
	if d.drawn {
		fmt.Fprintf(d.app.err, "to kill some yourself, from another terminal:  %s\n", d.app.again("--for", "5m"))
	}
	if d.app.asJSON() {
		return d.app.print(account{
			Picture: d.out, Width: d.size.width, Height: d.size.height, Seed: d.seed,
			Frames: end.balance.Frames, Tiles: end.balance.Tiles, Workers: end.balance.Workers,
			Coloured: d.driver.coloured(), ColouredIn: d.colour.String(),
			Deeds: deedsDone, Deaths: t.Deaths, Healed: t.Healed, Again: t.Again,
			Slowest: t.Slowest.Seconds(), Seconds: end.took.Seconds(),
		})
	}
	_, err := fmt.Fprintln(d.app.out, d.out)
	return err
}

// saySorry says, in one line, why it is not Python that colours, if that is so and
// nobody asked for it.
func (d *demo) saySorry() {
	if d.regret != nil {
		fmt.Fprintf(d.app.err, "goroutines colour the tiles, and not Python: %v\n", d.regret)
	}
}

// loss says what was lost, and what is not whole.
func (d *demo) loss(end ending) error {
	err := end.balance.check()
	if err == nil && len(end.ill) == 0 && len(end.lost) == 0 {
		return nil
	}
	p := &problem{exit: exitFailed, code: "lost", err: err}
	switch {
	case err != nil:
		p.text = err.Error()
	case len(end.lost) > 0:
		p.text = fmt.Sprintf("%s could not be had", count(len(end.lost), "tile"))
	default:
		p.code, p.text = "not-healed", "every tile came once, but not everybody is well"
	}
	for _, err := range end.lost {
		p.because("%v", err)
	}
	for _, text := range end.ill {
		p.because("%s", text)
	}
	return p
}

// ledgerGone says that nobody knows any more what was lost, and why.
func ledgerGone(err error) *problem {
	p := &problem{exit: exitFailed, code: "lost", text: "the ledger is gone, so nobody knows which tiles came", err: err}
	return p.because("%v", err)
}

package load

import "testing"

// What a peer loses, turns round or changes is seen.
func TestAnswerer(t *testing.T) {
	body := make([]byte, 64)
	tell := func(a *answerer, op byte, seq uint64) {
		fill(body, op, seq)
		if a.answer(body) != nil {
			t.Error("a message that was told was answered")
		}
	}
	mark := func(a *answerer) (told, disorder uint64) {
		fill(body, opMark, 0)
		told, disorder, err := readMark(a.answer(body))
		if err != nil {
			t.Fatal(err)
		}
		return told, disorder
	}
	var a answerer
	for seq := range uint64(5) {
		tell(&a, opTell, seq+1)
	}
	if told, disorder := mark(&a); told != 5 || disorder != 0 {
		t.Errorf("%d were told, %d out of order", told, disorder)
	}
	tell(&a, opTell, 7) // one is lost
	tell(&a, opTell, 6) // and comes late
	fill(body, opEach, 7)
	body[40]++
	a.answer(body)
	if told, disorder := mark(&a); told != 8 || disorder != 3 {
		t.Errorf("%d were told, %d out of order; want 8, 3", told, disorder)
	}
}

func TestCheck(t *testing.T) {
	ask, reply := make([]byte, 64), make([]byte, 64)
	fill(ask, opAsk, 9)
	for name, change := range map[string]func(){
		"another number": func() { fill(reply, opAsk, 10) },
		"too short":      func() { reply = reply[:63] },
		"a wrong byte":   func() { reply[63]++ },
	} {
		reply = reply[:64]
		fill(reply, opAsk, 9)
		if err := check(ask, reply, true); err != nil {
			t.Fatal(err)
		}
		change()
		if check(ask, reply, true) == nil {
			t.Errorf("%s was not seen", name)
		}
	}
	if _, _, err := readMark(reply); err == nil {
		t.Error("what is no mark was read as one")
	}
}

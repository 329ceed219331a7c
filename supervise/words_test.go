package supervise

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWordsAreRead(t *testing.T) {
	for word, want := range map[string]Restart{"on-failure": OnFailure, "always": Always, "never": Never} {
		if got, err := ParseRestart(word); err != nil || got != want {
			t.Errorf("ParseRestart(%q) = %v, %v", word, got, err)
		}
	}
	for word, want := range map[string]Strategy{"one-for-one": OneForOne, "one-for-all": OneForAll} {
		if got, err := ParseStrategy(word); err != nil || got != want {
			t.Errorf("ParseStrategy(%q) = %v, %v", word, got, err)
		}
	}
}

func TestOtherWordsAreRefusedWithTheChoice(t *testing.T) {
	for _, s := range []string{"", "Always", " always", "always ", "on_failure", "one-for-one"} {
		_, err := ParseRestart(s)
		if err == nil || !strings.Contains(err.Error(), "on-failure, always or never") {
			t.Errorf("ParseRestart(%q): %v", s, err)
		}
	}
	for _, s := range []string{"", "one-for-rest", "always"} {
		_, err := ParseStrategy(s)
		if err == nil || !strings.Contains(err.Error(), "one-for-one or one-for-all") {
			t.Errorf("ParseStrategy(%q): %v", s, err)
		}
	}
	if _, err := ParseRestart(strings.Repeat("x", 1<<20)); err == nil || len(err.Error()) > 200 {
		t.Error("a long word is repeated in full in the error")
	}
}

func TestWordsInJSON(t *testing.T) {
	type config struct {
		Restart  Restart  `json:"restart"`
		Strategy Strategy `json:"strategy"`
	}
	text, err := json.Marshal(config{Always, OneForAll})
	if err != nil || string(text) != `{"restart":"always","strategy":"one-for-all"}` {
		t.Fatalf("%s, %v", text, err)
	}
	var got config
	if err := json.Unmarshal(text, &got); err != nil || got != (config{Always, OneForAll}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := json.Unmarshal([]byte(`{"restart":"sometimes"}`), &got); err == nil || got.Restart != Always {
		t.Errorf("a wrong word: %+v, %v", got, err)
	}
	if err := json.Unmarshal([]byte(`{"strategy":"none"}`), &got); err == nil || got.Strategy != OneForAll {
		t.Errorf("a wrong word: %+v, %v", got, err)
	}
}

func TestValuesWithoutAWord(t *testing.T) {
	if _, err := Restart(3).MarshalText(); err == nil {
		t.Error("Restart(3) was written")
	}
	if _, err := Strategy(2).MarshalText(); err == nil {
		t.Error("Strategy(2) was written")
	}
	if got := Restart(3).String() + " " + Strategy(2).String() + " " + Action(4).String(); got != "Restart(3) Strategy(2) Action(4)" {
		t.Error(got)
	}
	if got := Stay.String() + " " + Start.String() + " " + StartAll.String() + " " + GiveUp.String(); got != "stay start start-all give-up" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(restarts(), strategies()...) {
		f.Add(s)
	}
	f.Add("")
	f.Add("ALWAYS")
	f.Add("always\x00")
	f.Fuzz(func(t *testing.T, s string) {
		var r Restart
		if r.UnmarshalText([]byte(s)) == nil {
			if text, err := r.MarshalText(); err != nil || string(text) != s || r.String() != s {
				t.Errorf("%q was read as %v, which writes %q, %v", s, r, text, err)
			}
		}
		var g Strategy
		if g.UnmarshalText([]byte(s)) == nil {
			if text, err := g.MarshalText(); err != nil || string(text) != s || g.String() != s {
				t.Errorf("%q was read as %v, which writes %q, %v", s, g, text, err)
			}
		}
	})
}

package wire

import (
	"reflect"
	"testing"
)

// beatOf returns the heartbeat whose body says what v has.
func beatOf(t testing.TB, v any) *Message {
	b, err := Encode(CodecCBOR, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return &Message{Kind: KindNotify, Codec: CodecCBOR, Body: b}
}

// What most heartbeats say is read without Decode, and whatever one says as Decode has it.
func TestParseBeat(t *testing.T) {
	whole := Beat{
		State: "running", PID: 1 << 22, Inbox: 70_000, Accepted: 1 << 40, Started: 23, Refused: 24,
		Oldest: 1, Handling: "größe", Since: 1 << 50, RSS: 255, CPU: 256,
	}
	if n := reflect.TypeFor[Beat]().NumField() - 1; n != maxBeatKeys {
		t.Errorf("%d keys are read without Decode, and a heartbeat has %d beside extra", maxBeatKeys, n)
	}
	var b Beat
	if m := beatOf(t, whole); !b.read(m.Body) || !reflect.DeepEqual(b, whole) {
		t.Errorf("it is not read without Decode: %+v, want %+v", b, whole)
	}
	m := beatOf(t, whole)
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseBeat(m) }); n > 2 {
		t.Errorf("it is read with %v allocations, and has two texts", n)
	}
	type any = map[string]interface{}
	for name, v := range map[string]struct {
		says any
		want Beat
		bad  bool
	}{
		"nothing":           {any{}, Beat{}, false},
		"extra":             {any{"pid": 5, "extra": any{"a": uint64(1)}}, Beat{PID: 5, Extra: any{"a": int64(1)}}, false},
		"unknown":           {any{"uptime": 7, "inbox": 3}, Beat{Inbox: 3}, false},
		"a time as text":    {any{"since": "5s"}, Beat{Since: 5e9}, false},
		"less than nothing": {any{"inbox": -1}, Beat{Inbox: -1}, false},
		"a text as number":  {any{"pid": "7"}, Beat{}, true},
		"a number as text":  {any{"state": 7}, Beat{}, true},
		"a large pid":       {any{"pid": uint64(1) << 63}, Beat{}, true},
		"a list":            {any{"rss": []int{1}}, Beat{}, true},
	} {
		got, err := ParseBeat(beatOf(t, v.says))
		if (err != nil) != v.bad || !v.bad && !reflect.DeepEqual(got, v.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// FuzzBeat: it is read as Decode reads it.
func FuzzBeat(f *testing.F) {
	f.Add(beatOf(f, Beat{State: "running", PID: 7, Accepted: 1 << 40, Handling: "add", Since: 5, RSS: 1 << 30, CPU: 3}).Body)
	f.Add(beatOf(f, Beat{Inbox: -1, Extra: map[string]any{"a": "b"}}).Body)
	f.Add([]byte("\xa2\x63pid\x01\x63pid\x01"))            // twice
	f.Add([]byte("\xa1\x63PID\x01"))                       // another key, to Decode the same
	f.Add([]byte("\xa1\x65state\x62\xff\xff"))             // no UTF-8
	f.Add([]byte("\xa1\x65state\x7b\xff\xff\xff\xff\xff")) // cut in a head
	f.Add([]byte("\xa1\x63cpu\x1b\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\xbf\x63cpu\x01\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ParseBeat(&Message{Kind: KindNotify, Codec: CodecCBOR, Body: body})
		var want Beat
		wantErr := Decode(CodecCBOR, body, &want)
		if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%x: %+v, %v; want %+v, %v", body, got, err, want, wantErr)
		}
	})
}

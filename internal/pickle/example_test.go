package pickle_test

import (
	"fmt"
	"log"

	"github.com/arbiter-go/arbiter/internal/pickle"
)

// A request of pulsar 2.0.2, its keys in pulsar's order.
func ExampleAppend() {
	request := &pickle.Dict{Pairs: []pickle.Pair{
		{Key: pickle.Str("command"), Value: pickle.Str("add")},
		{Key: pickle.Str("id"), Value: pickle.Str("i0000001")},
		{Key: pickle.Str("sender"), Value: pickle.Str("arbiter")},
		{Key: pickle.Str("target"), Value: pickle.Str("tally")},
		{Key: pickle.Str("args"), Value: &pickle.Tuple{Items: []pickle.Value{pickle.Int(5)}}},
		{Key: pickle.Str("kwargs"), Value: &pickle.Dict{}},
		{Key: pickle.Str("ack"), Value: pickle.Str("i0000002")},
	}}
	data, err := pickle.Append(nil, request, pickle.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(data), "bytes")
	// Output: 165 bytes
}

func ExampleDecode() {
	data := []byte("\x80\x02}q\x00(X\x07\x00\x00\x00commandq\x01X\x08\x00\x00\x00callbackq\x02" +
		"X\x06\x00\x00\x00resultq\x03]q\x04(K\x01K\x02eX\x03\x00\x00\x00ackq\x05X\x08\x00\x00\x00i0000002q\x06u.")
	v, err := pickle.Decode(data, pickle.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	message, ok := v.(*pickle.Dict)
	if !ok {
		log.Fatal("not a message")
	}
	for _, p := range message.Pairs {
		switch v := p.Value.(type) {
		case pickle.Str:
			fmt.Println(p.Key, "is the text", v)
		case *pickle.List:
			fmt.Println(p.Key, "is a list of", len(v.Items))
		}
	}
	// Output:
	// command is the text callback
	// result is a list of 2
	// ack is the text i0000002
}

// A pickle is a program; this one would delete files if CPython loaded it.
func ExampleObject() {
	v, err := pickle.Decode([]byte("\x80\x02cos\nsystem\nX\x08\x00\x00\x00rm -rf /\x85R."), pickle.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	call := v.(*pickle.Object)
	f := call.Class.(*pickle.Global)
	fmt.Printf("%s.%s(%q), not called\n", f.Module, f.Name, call.Args.Items[0])
	// Output: os.system("rm -rf /"), not called
}

func ExampleError() {
	_, err := pickle.Decode([]byte("\x80\x02X\xff\xff\xff\x7fabc"), pickle.Limits{})
	fmt.Println(err)
	// Output: the pickle was refused: a str of 2147483647 bytes where 3 remain (BINUNICODE at byte 2)
}

package pickle

import "testing"

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct{ name, frame string }{
		{"ping", "_ping_by_aid_down_ping"},
		{"echo", "_echo_nested_down_echo"},
		{"notify", "_handshake_process_up_notify"},
		{"info", "_info_up_cb"},
		{"list1001", "_echo_list_1001_up_cb"},
	} {
		b.Run(c.name, func(b *testing.B) {
			data := named(b, c.frame)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ name, frame string }{
		{"ping", "_ping_by_aid_down_ping"},
		{"echo", "_echo_nested_down_echo"},
		{"notify", "_handshake_process_up_notify"},
		{"info", "_info_up_cb"},
		{"list1001", "_echo_list_1001_up_cb"},
	} {
		b.Run(c.name, func(b *testing.B) {
			data := named(b, c.frame)
			v, err := Decode(data, Limits{})
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, len(data))
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if buf, err = Append(buf[:0], v, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPlain is what BenchmarkDecode and BenchmarkAppend are together, for a message
// of plain data.
func BenchmarkPlain(b *testing.B) {
	for _, c := range []struct{ name, frame string }{
		{"ping", "_ping_by_aid_down_ping"},
		{"info", "_info_up_cb"},
		{"list1001", "_echo_list_1001_up_cb"},
	} {
		b.Run(c.name, func(b *testing.B) {
			data := named(b, c.frame)
			var p Plain
			var out []byte
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if !p.Read(data, Limits{}) {
					b.Fatal("it is not plain")
				}
				out = p.Append(out[:0], 1, 2)
			}
		})
	}
}

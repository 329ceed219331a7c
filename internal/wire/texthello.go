package wire

import "cmp"

// TextHello is what a hello of the json profile says.
type TextHello struct {
	Hello
	Ready bool // it is ready to work as soon as it is welcome
}

// Hello reads the first message of who connects in the json profile. The error is
// CodeProtocol for what is no hello, else CodeInvalid; it names the field. What h says
// of its window is the caller's to fill in: the json profile has none.
func (t *Text) Hello() (*TextHello, *Error) {
	if t.Command != "hello" || t.Target != "" {
		return nil, Errorf(CodeProtocol, "the first message is not a hello: %s", `{"command":"hello","kind":"…"}`)
	}
	if fault := walkJSON(t.whole, HelloLimits, 0); fault != nil {
		return nil, Errorf(CodeInvalid, "the hello: %v", fault)
	}
	h := &TextHello{Hello: Hello{Newest: Version, Oldest: 1, Codecs: []Codec{CodecCBOR}}, Ready: true}
	var wrong *Error
	fail := func(key, want string) {
		if wrong == nil {
			wrong = Errorf(CodeInvalid, "the hello's %s is %s; it is %s", key, describeJSON(t.raw(key)), want)
		}
	}
	text := func(key string, to *string) {
		if raw := t.raw(key); raw != nil {
			var ok bool
			if *to, ok = textOf(raw); !ok && key == "token" {
				wrong = cmp.Or(wrong, Errorf(CodeInvalid, "the hello's token is no text")) // errors are logged, and tokens are not
			} else if !ok {
				fail(key, "text")
			}
		}
	}
	is := func(key string, to *bool) {
		if raw := t.raw(key); raw != nil {
			var ok bool
			if *to, ok = boolOf(raw); !ok {
				fail(key, "true or false")
			}
		}
	}
	whole := func(key string, least float64, set func(n float64)) {
		if raw := t.raw(key); raw != nil {
			n, ok := numberOf(raw)
			if !ok || n != float64(int64(n)) || n < least || n > 1<<31-1 {
				fail(key, "a whole number")
				return
			}
			set(n)
		}
	}
	h.Mode = "concurrent"
	text("kind", &h.Kind)
	text("token", &h.Token)
	text("name", &h.Name)
	text("aid", &h.AID)
	text("mode", &h.Mode)
	text("language", &h.Language)
	is("ready", &h.Ready)
	is("calls", &h.Client)
	whole("version", 1, func(n float64) { h.Newest = uint32(n) })
	whole("pid", 0, func(n float64) { h.PID = int(n) })
	h.commands(t, fail)
	if wrong != nil {
		return nil, wrong
	}
	if err := h.check(); err != nil {
		return nil, AsError(err, CodeInvalid)
	}
	return h, nil
}

// commands reads what the actor answers: names, or objects.
func (h *TextHello) commands(t *Text, fail func(key, want string)) {
	const want = "a list of names, or of objects with a name"
	raw := t.raw("commands")
	if raw == nil {
		return
	}
	if raw[0] != '[' {
		fail("commands", want)
		return
	}
	for at := 1; ; {
		for raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\r' || raw[at] == '\n' || raw[at] == ',' {
			at++
		}
		if raw[at] == ']' {
			return
		}
		end := valueEnd(raw, at)
		c, ok := commandOf(raw[at:end])
		if !ok {
			fail("commands", want)
			return
		}
		h.Commands = append(h.Commands, c)
		at = end
	}
}

func commandOf(raw []byte) (c CommandInfo, ok bool) {
	c.Ack = true
	if c.Name, ok = textOf(raw); ok {
		return c, true
	}
	if raw[0] != '{' {
		return c, false
	}
	members, fault := membersOf(raw)
	if fault != nil {
		return c, false
	}
	if c.Name, ok = textOf(memberOf(members, "name")); !ok {
		return c, false
	}
	c.Doc, _ = textOf(memberOf(members, "doc"))
	c.In, _ = textOf(memberOf(members, "in"))
	c.Out, _ = textOf(memberOf(members, "out"))
	if ack, said := boolOf(memberOf(members, "ack")); said {
		c.Ack = ack
	}
	c.Idempotent, _ = boolOf(memberOf(members, "idempotent"))
	return c, true
}

// AppendText appends w as the answer to a hello of the json profile.
func (w *Welcome) AppendText(dst []byte) []byte {
	t := newText(dst, "welcome")
	t.int("version", int64(w.Version))
	t.text("aid", w.AID)
	t.text("name", w.Name)
	t.text("arbiter", w.Arbiter)
	t.int("max_message", int64(w.MaxMessage))
	t.int("heartbeat", int64(w.Interval))
	t.int("timeout", int64(w.Timeout))
	t.int("budget", int64(w.Budget))
	t.int("grace", int64(w.Grace))
	t.key("extra")
	t.b = append(t.b, '{')
	before := len(t.b)
	if err := t.settings(w.Settings); err != nil {
		t.b = t.b[:before] // the arbiter has encoded them itself: they have an image
	}
	t.b = append(t.b, '}')
	return t.end()
}

// settings writes the pairs of a CBOR map of texts.
func (w *textWriter) settings(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	_, values, err := splitCBOR(append([]byte{majorArray<<5 | 2, majorArray << 5}, body...))
	if err != nil {
		return err
	}
	return w.members(values, CodecCBOR, Limits{})
}

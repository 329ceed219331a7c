package wire

import "fmt"

// The bounds of a hello. They keep what a stranger may make an arbiter hold.
const (
	MaxHello       = 64 << 10 // bytes of the whole message: who sends it is not known yet
	MaxName        = 64       // bytes of a name or an aid
	MaxCommandName = 255      // bytes of a command's name
	MaxCommands    = 1024     // commands one actor may announce
	maxToken       = 4096     // bytes
	maxText        = 1024     // bytes of any other text of a hello
	maxCodecs      = 16
)

// HelloLimits are the limits under which a hello and a welcome are decoded: what
// a stranger says is held to less than what a peer does.
var HelloLimits = Limits{Depth: 8, Memory: 4 << 20}

// ValidName reports why name cannot be the name or the aid of an actor: it is 1
// to 64 bytes of A-Z a-z 0-9 _ . and -. A slash separates a pool and its slot and
// an @ an actor and its node, so neither can be part of a name.
func ValidName(name string) error {
	if name == "" {
		return fmt.Errorf("the name is empty")
	}
	if len(name) > MaxName {
		return fmt.Errorf("the name %.64q… has %d bytes, more than %d", name, len(name), MaxName)
	}
	for i, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '.', r == '-':
		case r == '/':
			return fmt.Errorf("the name %q has a '/' at byte %d, which is kept for the slots of a pool", name, i)
		case r == '@':
			return fmt.Errorf("the name %q has an '@' at byte %d, which is kept for the names of nodes", name, i)
		default:
			return fmt.Errorf("the name %q has %q at byte %d; a name is made of A-Z a-z 0-9 _ . and -", name, r, i)
		}
	}
	return nil
}

// Message returns h as the first frame of a connection. It fails, with
// CodeInvalid, if h is over the bounds that ParseHello holds a hello to.
func (h *Hello) Message() (Message, error) {
	if err := h.check(); err != nil {
		return Message{}, err
	}
	body, err := handshakeBody(h)
	if err != nil {
		return Message{}, Errorf(CodeInvalid, "cannot encode the hello: %v", err)
	}
	m := Message{Kind: KindHello, Codec: CodecCBOR, ID: uint64(h.Newest), Millis: h.Oldest, Body: body}
	if n := m.Size(); n > MaxHello {
		return Message{}, Errorf(CodeInvalid, "the hello has %d bytes, more than %d: announce fewer commands, or describe them shorter", n, MaxHello)
	}
	return m, nil
}

// ParseHello reads a hello, of whatever version. Of one that this package cannot
// speak with it reads the versions only, which is what Negotiate needs to answer
// it: the rest may have changed. The error is an *Error with CodeProtocol, or with
// CodeInvalid for a name or a number out of bounds.
func ParseHello(m *Message) (*Hello, error) {
	if m.Kind != KindHello {
		return nil, Errorf(CodeProtocol, "the first frame is a %v, not a hello", m.Kind)
	}
	h := &Hello{Newest: clamp32(m.ID), Oldest: m.Millis}
	if h.Oldest > h.Newest {
		return nil, Errorf(CodeProtocol, "a hello whose oldest version, %d, is above its newest, %d", h.Oldest, h.Newest)
	}
	if _, err := Negotiate(h); err != nil {
		return h, nil
	}
	if m.Codec != CodecCBOR {
		return nil, Errorf(CodeProtocol, "a hello with codec %d; it is CBOR (1)", m.Codec)
	}
	if err := m.CheckExt(); err != nil {
		return nil, Errorf(CodeProtocol, "the hello is %v", err)
	}
	if err := DecodeLimits(CodecCBOR, m.Body, h, HelloLimits); err != nil {
		return nil, Errorf(CodeProtocol, "the hello cannot be read: %v", err)
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	return h, nil
}

// Negotiate returns the version to speak with whoever sent h: the newest both
// know. If there is none the error is CodeVersion and names what either speaks.
func Negotiate(h *Hello) (version uint32, err *Error) {
	v := min(h.Newest, Version)
	if v < MinVersion || v < h.Oldest {
		return 0, Errorf(CodeVersion, "no version in common: the peer speaks %s of the native protocol, this end %s",
			versions(h.Oldest, h.Newest), versions(MinVersion, Version)).NotStarted()
	}
	return v, nil
}

func versions(oldest, newest uint32) string {
	if oldest == newest {
		return fmt.Sprintf("version %d", newest)
	}
	return fmt.Sprintf("versions %d to %d", oldest, newest)
}

// check holds h to its bounds.
func (h *Hello) check() error {
	for _, n := range [...]struct{ what, value string }{{"kind", h.Kind}, {"name", h.Name}, {"aid", h.AID}} {
		if n.value == "" {
			continue // a client has no kind; a name or an aid not asked for is given
		}
		if err := ValidName(n.value); err != nil {
			return Errorf(CodeInvalid, "the hello's %s: %v", n.what, err)
		}
	}
	if h.Kind == "" && !h.Client {
		return Errorf(CodeInvalid, "the hello has no kind; only a client may leave it out")
	}
	switch h.Mode {
	case "", "serial", "interleaved", "concurrent":
	default:
		return Errorf(CodeInvalid, "the hello's mode is %.64q; it is serial, interleaved or concurrent", h.Mode)
	}
	if len(h.Token) > maxToken {
		return Errorf(CodeInvalid, "the hello's token has %d bytes, more than %d", len(h.Token), maxToken)
	}
	if len(h.Language) > maxText {
		return Errorf(CodeInvalid, "the hello's language has %d bytes, more than %d", len(h.Language), maxText)
	}
	if len(h.Codecs) > maxCodecs {
		return Errorf(CodeInvalid, "the hello lists %d codecs, more than %d", len(h.Codecs), maxCodecs)
	}
	if h.PID < 0 {
		return Errorf(CodeInvalid, "the hello's pid is %d", h.PID)
	}
	if len(h.Commands) > MaxCommands {
		return Errorf(CodeInvalid, "the hello lists %d commands, more than %d", len(h.Commands), MaxCommands)
	}
	for i := range h.Commands {
		c := &h.Commands[i]
		switch {
		case c.Name == "":
			return Errorf(CodeInvalid, "the hello's command %d has no name", i)
		case len(c.Name) > MaxCommandName:
			return Errorf(CodeInvalid, "the hello's command %.64q… has %d bytes, more than %d", c.Name, len(c.Name), MaxCommandName)
		case len(c.Doc) > maxText || len(c.In) > maxText || len(c.Out) > maxText:
			return Errorf(CodeInvalid, "the hello's command %q is described with more than %d bytes", c.Name, maxText)
		}
	}
	return nil
}

// Message returns w as the answer to a hello.
func (w *Welcome) Message() (Message, error) {
	body, err := handshakeBody(w)
	if err != nil {
		return Message{}, Errorf(CodeInvalid, "cannot encode the welcome: %v", err)
	}
	return Message{Kind: KindWelcome, Codec: CodecCBOR, ID: uint64(w.Version), Body: body}, nil
}

// ParseWelcome reads the answer to a hello: a welcome, or the error that refuses
// it, which is then returned. Every error is an *Error.
func ParseWelcome(m *Message) (*Welcome, error) {
	switch m.Kind {
	case KindWelcome:
	case KindError:
		return nil, ParseError(m)
	default:
		return nil, Errorf(CodeProtocol, "the answer to the hello is a %v, not a welcome", m.Kind)
	}
	w := &Welcome{Version: clamp32(m.ID)}
	if w.Version < MinVersion || w.Version > Version {
		return nil, Errorf(CodeVersion, "the arbiter chose version %d of the native protocol, this end speaks %s",
			w.Version, versions(MinVersion, Version)).NotStarted()
	}
	if m.Codec != CodecCBOR {
		return nil, Errorf(CodeProtocol, "a welcome with codec %d; it is CBOR (1)", m.Codec)
	}
	if err := m.CheckExt(); err != nil {
		return nil, Errorf(CodeProtocol, "the welcome is %v", err)
	}
	if err := DecodeLimits(CodecCBOR, m.Body, w, HelloLimits); err != nil {
		return nil, Errorf(CodeProtocol, "the welcome cannot be read: %v", err)
	}
	if w.MaxMessage < 0 {
		return nil, Errorf(CodeProtocol, "the welcome's largest message is %d bytes", w.MaxMessage)
	}
	return w, nil
}

func clamp32(n uint64) uint32 { return uint32(min(n, 1<<32-1)) }

// handshakeBody encodes a hello or a welcome, and holds it to what the other end
// will hold it to.
func handshakeBody(v any) ([]byte, error) {
	body, err := handshakeEnc.Marshal(v)
	if err != nil {
		return nil, err
	}
	if err := CheckCBOR(body, HelloLimits); err != nil {
		return nil, err
	}
	return body, nil
}

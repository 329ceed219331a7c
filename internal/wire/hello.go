package wire

// Version is the version of the native profile this package speaks, and
// MinVersion the oldest it can speak with.
const (
	Version    = 1
	MinVersion = 1
)

// Features are bits both ends may offer; what both offer is in use: FeaturePieces,
// FeatureXoff. Others are skipped.
type Features uint64

// FeatureXoff says that an end which is told xoff sends its target no more
// messages until it is told xon.
const FeatureXoff Features = 1 << 1

// Window is how much data an end lets the other have under way: messages and
// bytes (as Cost counts them) that were sent and not yet taken.
type Window struct {
	Messages uint64 `cbor:"1,keyasint"`
	Bytes    uint64 `cbor:"2,keyasint"`
}

// Hello is the first frame of whoever connects. The frame's ID is the newest
// version it speaks and Millis the oldest, whatever the version: that much of a
// hello never changes.
type Hello struct {
	Newest, Oldest uint32 `cbor:"-"`

	Features Features      `cbor:"1,keyasint,omitempty"`
	Token    string        `cbor:"2,keyasint,omitempty"` // what the listener asks for; nothing on an inherited socket
	Kind     string        `cbor:"3,keyasint"`           // the kind of actor it is
	Name     string        `cbor:"4,keyasint,omitempty"` // the name it would like
	AID      string        `cbor:"5,keyasint,omitempty"` // the aid it would like
	Mode     string        `cbor:"6,keyasint,omitempty"` // "serial" (the default), "interleaved" or "concurrent"
	Commands []CommandInfo `cbor:"7,keyasint,omitempty"`
	Inbox    Window        `cbor:"8,keyasint"` // the room it has for data
	PID      int           `cbor:"9,keyasint,omitempty"`
	Language string        `cbor:"10,keyasint,omitempty"` // "go 1.26"
	Codecs   []Codec       `cbor:"11,keyasint,omitempty"` // of the bodies it can read; none: CBOR
	Client   bool          `cbor:"12,keyasint,omitempty"` // it only calls; lists of actors leave it out
}

// Welcome is the arbiter's answer to a hello it takes. The frame's ID is the
// version both will speak.
type Welcome struct {
	Version uint32 `cbor:"-"`

	Features   Features `cbor:"1,keyasint,omitempty"`
	AID        string   `cbor:"2,keyasint"`
	Name       string   `cbor:"3,keyasint,omitempty"`
	Arbiter    string   `cbor:"4,keyasint"` // the arbiter's own aid
	Window     Window   `cbor:"5,keyasint"` // the room it has for this peer's data
	MaxMessage int      `cbor:"6,keyasint"` // bytes, as Message.Size counts them
	Interval   uint32   `cbor:"7,keyasint"` // milliseconds between heartbeats
	Timeout    uint32   `cbor:"8,keyasint"` // milliseconds of silence after which either end gives up
	PID        int      `cbor:"9,keyasint,omitempty"`
	Budget     uint32   `cbor:"10,keyasint,omitempty" json:",omitempty"` // milliseconds one handler may take; 0: what the actor's kind says
	Grace      uint32   `cbor:"11,keyasint,omitempty" json:",omitempty"` // milliseconds a stop may take; 0: likewise
	Settings   []byte   `cbor:"12,keyasint,omitempty" json:",omitempty"` // a CBOR map: the settings the actor has from birth
}

// CommandInfo describes one command an actor answers, for people and tools.
type CommandInfo struct {
	Name string `cbor:"1,keyasint" json:"name"`
	Doc  string `cbor:"2,keyasint,omitempty" json:"doc,omitempty"`
	In   string `cbor:"3,keyasint,omitempty" json:"in,omitempty"`
	Out  string `cbor:"4,keyasint,omitempty" json:"out,omitempty"`
	Ack  bool   `cbor:"5,keyasint,omitempty" json:"ack"`
	// Idempotent says that to be asked twice is as good as once.
	Idempotent bool `cbor:"6,keyasint,omitempty" json:"idempotent,omitempty"`
}

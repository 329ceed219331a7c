package wire

import "time"

// Beat is the body of a heartbeat: what an actor that joined says of itself. All of it is
// optional. What else an arbiter tells of an actor it knows without being told.
type Beat struct {
	State    string         `cbor:"state,omitempty" json:"state,omitempty"`
	PID      int            `cbor:"pid,omitempty" json:"pid,omitempty"`
	Inbox    int            `cbor:"inbox,omitempty" json:"inbox,omitempty"`       // messages that wait
	Accepted uint64         `cbor:"accepted,omitempty" json:"accepted,omitempty"` // messages taken in its life
	Started  uint64         `cbor:"started,omitempty" json:"started,omitempty"`
	Refused  uint64         `cbor:"refused,omitempty" json:"refused,omitempty"`
	Oldest   time.Duration  `cbor:"oldest,omitempty" json:"oldest,omitempty"`     // how long the oldest message that waits has waited
	Handling string         `cbor:"handling,omitempty" json:"handling,omitempty"` // the command whose handler has run longest
	Since    time.Duration  `cbor:"since,omitempty" json:"since,omitempty"`       // for how long
	RSS      int64          `cbor:"rss,omitempty" json:"rss,omitempty"`           // bytes resident, of its process
	CPU      time.Duration  `cbor:"cpu,omitempty" json:"cpu,omitempty"`           // that its process has used
	Extra    map[string]any `cbor:"extra,omitempty" json:"extra,omitempty"`       // what its kind says
}

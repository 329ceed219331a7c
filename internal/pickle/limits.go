package pickle

// The limits of one message when Limits leaves them zero.
const (
	DefaultMessage  = 16 << 20
	DefaultMemory   = 32 << 20
	DefaultDepth    = 1000
	DefaultIntBytes = 4096
)

// Limits bound what one message may cost, whoever wrote it. The zero value of each
// field means its default.
type Limits struct {
	// Message is how long a pickle may be, in bytes, both read and written.
	// Default 16 MiB.
	Message int
	// Memory is what decoding may allocate beside the texts, in bytes, by a charge
	// that errs upwards: 16 for a number, 64 to 160 for everything else, 16 for each
	// place in a list, a tuple, the memo or on the stack, 32 for each pair of a dict,
	// and again what was outgrown. What a known global makes of a text or a list pays
	// for it once more. MARK, POP and BUILD pay 32 for the time they take.
	// Default 32 MiB: a list of about 500,000 numbers, of 200,000 texts, of 50,000
	// dicts of 5 pairs. The texts are copied once and take no more than an eighth above
	// the message, so that one of few and long ones may be as long as Message says.
	Memory int
	// Depth is how many containers may stand inside one another, the arguments and
	// the state of an object counted as containers. A value met again inside
	// itself ends the count. Default 1000.
	Depth int
	// IntBytes is how long an integer may be, in bytes. Default 4096.
	IntBytes int
}

func (l Limits) message() int  { return or(l.Message, DefaultMessage) }
func (l Limits) memory() int   { return or(l.Memory, DefaultMemory) }
func (l Limits) depth() int    { return or(l.Depth, DefaultDepth) }
func (l Limits) intBytes() int { return or(l.IntBytes, DefaultIntBytes) }

func or(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// The charges of the memory budget, in bytes. Each is at least what the allocator
// takes for the thing.
const (
	chargeNumber = 16  // the box of a number
	chargeText   = 64  // the box of a text's header, which costs the collector most
	chargeNode   = 64  // a list, tuple, dict, set or one of the small known values
	chargeObject = 160 // an object or a reference to an actor
	chargeSlot   = 16  // a Value
	chargePair   = 32
	chargeStep   = 32 // an opcode that takes none, and could be most of a message
)

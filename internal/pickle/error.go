package pickle

import "fmt"

// Error says why a pickle was refused, or why a value has no pickle.
type Error struct {
	// Offset is where the refused opcode stands, in bytes from the start of the
	// message. It is -1 if a value was refused by Append.
	Offset int
	// Opcode is the name of that opcode in CPython's pickletools, or empty if it
	// has none or no single one is to blame.
	Opcode string
	// Reason is what was wrong, in words that follow "the pickle was refused:".
	Reason string
	// TooLarge says that a budget of Limits was exceeded. Otherwise the message
	// is malformed, or something that is not supported.
	TooLarge bool
}

func (e *Error) Error() string {
	switch {
	case e.Offset < 0:
		return "the value cannot be pickled: " + e.Reason
	case e.Opcode == "":
		return fmt.Sprintf("the pickle was refused: %s (byte %d)", e.Reason, e.Offset)
	}
	return fmt.Sprintf("the pickle was refused: %s (%s at byte %d)", e.Reason, e.Opcode, e.Offset)
}

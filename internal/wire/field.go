package wire

import "fmt"

// A FieldError says why a value could not be encoded or decoded, and where in it.
// It is an *Error to errors.As, so AsError keeps its code and its text.
type FieldError struct {
	Code   Code   // CodeNotEncodable; when decoding CodeInvalid, or CodeTooLarge over a limit
	Type   string // the Go type of the whole value, when encoding: "main.Job"
	Field  string // the path to the field: "Tiles[3].Done", when decoding by its names on the wire; empty: the value itself
	Reason string // "chan int has no image on the wire"; "want int, got text \"ten\""
}

func (e *FieldError) Error() string {
	if e.Code == CodeNotEncodable {
		what := "cannot encode"
		if e.Type != "" {
			what += " " + e.Type
		}
		if e.Field != "" {
			what += ": field " + e.Field
		}
		return what + ": " + e.Reason
	}
	if e.Field != "" {
		return fmt.Sprintf("field %q: %s", e.Field, e.Reason)
	}
	return e.Reason
}

// Unwrap returns e as the error that crosses a connection. Whether the handler
// started is the caller's to say: it depends on whether e is about an argument or
// a result.
func (e *FieldError) Unwrap() error {
	return &Error{Code: e.Code, Message: e.Error()}
}

package pickle

import "fmt"

// The opcodes that are read, with the names they have in CPython's pickletools.
const (
	opMark           = '('
	opStop           = '.'
	opPop            = '0'
	opPopMark        = '1'
	opBinInt         = 'J'
	opBinInt1        = 'K'
	opBinInt2        = 'M'
	opNone           = 'N'
	opReduce         = 'R'
	opBinString      = 'T'
	opShortBinString = 'U'
	opBinUnicode     = 'X'
	opAppend         = 'a'
	opBuild          = 'b'
	opGlobal         = 'c'
	opAppends        = 'e'
	opBinGet         = 'h'
	opLongBinGet     = 'j'
	opBinPut         = 'q'
	opLongBinPut     = 'r'
	opSetItem        = 's'
	opTuple          = 't'
	opSetItems       = 'u'
	opEmptyTuple     = ')'
	opEmptyList      = ']'
	opEmptyDict      = '}'
	opBinFloat       = 'G'
	opProto          = 0x80
	opNewObj         = 0x81
	opTuple1         = 0x85
	opTuple2         = 0x86
	opTuple3         = 0x87
	opNewTrue        = 0x88
	opNewFalse       = 0x89
	opLong1          = 0x8a
	opLong4          = 0x8b
)

const (
	protocol  = 2
	batchSize = 1000 // how many items CPython puts between MARK and APPENDS or SETITEMS
)

// Why an opcode that exists is not read.
const (
	whyText      = "it is of the text protocol 0; protocol 2 is read here, and no pickler uses it there"
	whyOld       = "no pickler uses it in protocol 2"
	whyExternal  = "it names something outside of the message"
	whyExtension = "it needs a registry of extensions, and none is shared"
	whyNewer     = "it is of protocol %d; protocol 2 is what pulsar emits and what is read here"
)

// opcodeName returns the name of op in pickletools, or "".
func opcodeName(op byte) string {
	name, _ := describe(op)
	return name
}

// describe returns the name of op in pickletools, and why it is refused if it is
// not one of those that are read. Both are empty for a byte that is no opcode.
func describe(op byte) (name, why string) {
	switch op {
	case opMark:
		return "MARK", ""
	case opStop:
		return "STOP", ""
	case opPop:
		return "POP", ""
	case opPopMark:
		return "POP_MARK", ""
	case opBinInt:
		return "BININT", ""
	case opBinInt1:
		return "BININT1", ""
	case opBinInt2:
		return "BININT2", ""
	case opNone:
		return "NONE", ""
	case opReduce:
		return "REDUCE", ""
	case opBinString:
		return "BINSTRING", ""
	case opShortBinString:
		return "SHORT_BINSTRING", ""
	case opBinUnicode:
		return "BINUNICODE", ""
	case opAppend:
		return "APPEND", ""
	case opBuild:
		return "BUILD", ""
	case opGlobal:
		return "GLOBAL", ""
	case opAppends:
		return "APPENDS", ""
	case opBinGet:
		return "BINGET", ""
	case opLongBinGet:
		return "LONG_BINGET", ""
	case opBinPut:
		return "BINPUT", ""
	case opLongBinPut:
		return "LONG_BINPUT", ""
	case opSetItem:
		return "SETITEM", ""
	case opTuple:
		return "TUPLE", ""
	case opSetItems:
		return "SETITEMS", ""
	case opEmptyTuple:
		return "EMPTY_TUPLE", ""
	case opEmptyList:
		return "EMPTY_LIST", ""
	case opEmptyDict:
		return "EMPTY_DICT", ""
	case opBinFloat:
		return "BINFLOAT", ""
	case opProto:
		return "PROTO", ""
	case opNewObj:
		return "NEWOBJ", ""
	case opTuple1:
		return "TUPLE1", ""
	case opTuple2:
		return "TUPLE2", ""
	case opTuple3:
		return "TUPLE3", ""
	case opNewTrue:
		return "NEWTRUE", ""
	case opNewFalse:
		return "NEWFALSE", ""
	case opLong1:
		return "LONG1", ""
	case opLong4:
		return "LONG4", ""
	case 'I':
		return "INT", whyText
	case 'L':
		return "LONG", whyText
	case 'F':
		return "FLOAT", whyText
	case 'S':
		return "STRING", whyText
	case 'V':
		return "UNICODE", whyText
	case 'g':
		return "GET", whyText
	case 'p':
		return "PUT", whyText
	case 'd':
		return "DICT", whyText
	case 'l':
		return "LIST", whyText
	case 'i':
		return "INST", whyText
	case 'o':
		return "OBJ", whyOld
	case '2':
		return "DUP", whyOld
	case 'P':
		return "PERSID", whyExternal
	case 'Q':
		return "BINPERSID", whyExternal
	case 0x82:
		return "EXT1", whyExtension
	case 0x83:
		return "EXT2", whyExtension
	case 0x84:
		return "EXT4", whyExtension
	case 'B':
		return "BINBYTES", newer(3)
	case 'C':
		return "SHORT_BINBYTES", newer(3)
	case 0x8c:
		return "SHORT_BINUNICODE", newer(4)
	case 0x8d:
		return "BINUNICODE8", newer(4)
	case 0x8e:
		return "BINBYTES8", newer(4)
	case 0x8f:
		return "EMPTY_SET", newer(4)
	case 0x90:
		return "ADDITEMS", newer(4)
	case 0x91:
		return "FROZENSET", newer(4)
	case 0x92:
		return "NEWOBJ_EX", newer(4)
	case 0x93:
		return "STACK_GLOBAL", newer(4)
	case 0x94:
		return "MEMOIZE", newer(4)
	case 0x95:
		return "FRAME", newer(4)
	case 0x96:
		return "BYTEARRAY8", newer(5)
	case 0x97:
		return "NEXT_BUFFER", newer(5)
	case 0x98:
		return "READONLY_BUFFER", newer(5)
	}
	return "", ""
}

func newer(p int) string { return fmt.Sprintf(whyNewer, p) }

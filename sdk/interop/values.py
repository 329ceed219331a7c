"""What the Python workers of sdk/interop offer to others, and how they write down what they are given: the notation of show in goworker_test.go.

For Python 3.6 too, which pulsar needs.
"""

import datetime
import decimal
import json
import uuid


class Thing:
    """An object of a class of one's own."""

    def __init__(self, n):
        self.n = n


_utc = datetime.timezone.utc
_india = datetime.timezone(datetime.timedelta(hours=5, minutes=30))

VALUES = [
    ("null", None), ("true", True), ("false", False),
    ("an int", -1), ("2^53 + 1", 2 ** 53 + 1), ("2^63", 2 ** 63), ("-2^63", -2 ** 63), ("2^200", 2 ** 200), ("-2^200", -2 ** 200),
    ("a whole float", 2.0), ("a float", 0.1), ("the largest float", 1.7976931348623157e308), ("the smallest float", 5e-324), ("-0.0", -0.0),
    ("nan", float("nan")), ("inf", float("inf")), ("-inf", float("-inf")),
    ("no text", ""), ("text", "e\u0301 \u0000 \U0001f600"), ("no bytes", b""), ("bytes", b"\x00\xff"),
    ("list", [1, "a", None, []]), ("tuple", (1, (2, 3))),
    ("map", {"a": 1, "b": {}}), ("map with numbers as keys", {1: "int", "1": "text", 2.5: "float"}),
    ("map with bytes and null as keys", {b"k": 1, None: 2}), ("map with the key $x alone", {"$x": 1}),
    ("set", {"a"}), ("frozenset", frozenset([1])),
    ("moment", datetime.datetime(2026, 11, 26, 10, 0, 0, 123456, _utc)), ("moment in another zone", datetime.datetime(2026, 11, 26, 15, 30, tzinfo=_india)),
    ("datetime without a zone", datetime.datetime(2026, 11, 26, 10, 0)), ("date", datetime.date(2026, 11, 26)),
    ("timedelta", datetime.timedelta(seconds=90)), ("UUID", uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")), ("Decimal", decimal.Decimal("1.50")),
    ("nested", {"a": [{"b": [{"c": [b"x", {1}, 2 ** 63, None]}]}]}),
    ("half of a surrogate pair", "\ud83d"), ("object of a class", Thing(1)),
]


def show(v):
    if v is None or v is True or v is False:
        return {None: "null", True: "true", False: "false"}[v]
    if type(v) in (int, float):
        return repr(v)
    if type(v) is str:
        try:
            v.encode()
            return json.dumps(v, ensure_ascii=False)
        except UnicodeEncodeError:
            return json.dumps(v)
    if type(v) is bytes:
        return "bytes " + (v.hex() or "none")
    if type(v) is list:
        return "[%s]" % ", ".join(show(x) for x in v)
    if type(v) is tuple:
        return "(%s)" % ", ".join(show(x) for x in v)
    if type(v) is dict:
        return "{%s}" % ", ".join(sorted(show(k) + ": " + show(x) for k, x in v.items()))
    if type(v) in (set, frozenset):
        return "%s[%s]" % (type(v).__name__, ", ".join(sorted(show(x) for x in v)))
    if type(v) is datetime.datetime and v.tzinfo is not None:
        return "moment " + v.astimezone(_utc).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"
    if type(v) is uuid.UUID:
        return "uuid %s" % v
    return "%s %s" % (type(v).__name__, v.n if type(v) is Thing else v)

"""An actor of an arbiter, in Python: one file, nothing but the standard library.

    import arbiter

    calculator = arbiter.Actor("calculator")

    @calculator.command
    async def add(a: int, b: int = 0) -> int:
        return a + b

    if __name__ == "__main__":
        calculator.run()

The arbiter that starts the program hands it a connection (ARBITER_FD, or ARBITER_ADDR and ARBITER_TOKEN). What goes over it is
the json profile: docs/json.md. What a sender may rely on is in docs/contract.md.

Handlers that are ``async def`` run in the event loop, and must not block it. Handlers that are plain ``def`` run in threads. All
functions here are to be called in the event loop's thread, but for those of ``Actor.sync``, which are for such threads.
Nothing is written to standard output; what is logged goes to the logger "arbiter".
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import contextvars
import datetime
import difflib
import inspect
import json
import json.scanner
import logging
import math
import os
import queue
import re
import signal
import socket
import stat
import struct
import sys
import threading
import time
import types
import typing
import uuid
from json.encoder import encode_basestring
from typing import Any, Awaitable, Callable, Dict, Iterable, List, Mapping, NamedTuple, NoReturn, Optional, Sequence, Tuple, Union

__all__ = [
    "Actor", "Ref", "Death", "Down", "Watch", "Request", "current", "deadline", "connect", "ArbiterError", "AppError", "UnknownActor",
    "UnknownCommand", "Invalid", "Refused", "Overloaded", "TooLarge", "NotEncodable", "DeadlineExceeded", "Canceled",
    "TargetDown", "Cycle", "Exists", "VersionMismatch", "ProtocolError", "Closed", "dumps", "loads",
]

VERSION = 1
MAX_MESSAGE = 16 << 20  # bytes, until the welcome says otherwise
DEFAULT_TIMEOUT = 30.0  # seconds a call may take
_LONGEST = (2**32 - 1) / 1000  # seconds a call may take: more are none to the arbiter
LOST_GRACE = 0.5  # seconds the stop hook has when the connection is lost
LEAVE_GRACE = 2.0  # seconds in which something must get on its way of the last answers of an actor that has ended
_MOST_TOLD = 8192  # characters of what an error or a death says; the arbiter cuts it, too

log = logging.getLogger("arbiter")

_EXITS = (SystemExit, KeyboardInterrupt, GeneratorExit)  # what ends the program, and not a handler or a hook alone


# Errors


class Death(NamedTuple):
    """How an actor ended. docs/processes.md lists the causes."""

    cause: str
    reason: str = ""
    code: int = 0  # of exit
    signal: str = ""
    pid: int = 0
    stderr: Tuple[str, ...] = ()  # its last lines
    final: bool = False  # it asked not to be started again

    @classmethod
    def parse(cls, m: Any) -> "Death":
        if not isinstance(m, dict):
            return cls("connection")
        known = {k: m[k] for k in cls._fields if k in m}
        known["stderr"] = tuple(known.get("stderr") or ())
        return cls(**{"cause": "connection", **known})

    def image(self) -> Dict[str, Any]:
        return {k: v for k, v in self._replace(reason=_said(self.reason)[:_MOST_TOLD])._asdict().items() if v}


def _said(v: Any) -> str:
    """v as text that can be sent; "" if it has none."""
    try:
        text = v if isinstance(v, str) else str(v)
        return text.encode(errors="backslashreplace").decode()  # half of a surrogate pair, as in names of files, is not UTF-8
    except Exception:
        return ""


def _failure(e: BaseException) -> str:
    """What e is, and says if it says anything."""
    return f"{type(e).__name__}: {_said(e)}".rstrip(": ")


class ArbiterError(Exception):
    """How a call or a send failed. There is a class for each code of docs/contract.md; ``code`` has it too.

    A handler raises ``AppError(message, app="its_code")``, or anything else: then ``app`` is the name of the exception's class.
    """

    code = "app"

    def __init__(self, message: str = "", *, app: str = "", started: Optional[bool] = None, target: str = "", command: str = "",
                 path: Sequence[str] = (), death: Optional[Death] = None) -> None:
        super().__init__(message)
        self.message = ("" if message is None else _said(message)) or self.code
        self.app = "" if app is None else _said(app)  # the handler's own code, with code "app"
        self.started = started  # whether the handler started; None: not known
        self.target = target
        self.command = command
        self.path = list(path)  # of a cycle: who waits for whom
        self.death = death  # with code "down"

    def __str__(self) -> str:
        if not self.target:
            return self.message
        what = f"call {self.command} on" if self.command else "call on"
        return f'{what} "{self.target}": {self.message}'

    @staticmethod
    def parse(m: Any, target: str = "", command: str = "") -> "ArbiterError":
        if not isinstance(m, dict):
            m = {"code": "protocol", "message": "an error that is no object"}
        code = m.get("code") or "app"
        cls = _CLASSES.get(code, ArbiterError)
        death = Death.parse(m.get("death")) if code == "down" else None
        e = cls(str(m.get("message") or code), app=str(m.get("app") or ""), started=m.get("started"), death=death,
                target=str(m.get("target") or target), command=str(m.get("command") or command), path=m.get("path") or ())
        e.code = code  # one that is newer than this file keeps its name
        return e

    def image(self) -> Dict[str, Any]:
        m: Dict[str, Any] = {"code": self.code, "message": self.message[:_MOST_TOLD]}
        if self.app:
            m["app"] = self.app[:255]
        if self.started is not None:
            m["started"] = self.started
        if self.command:
            m["command"] = self.command
        if self.death:
            m["death"] = self.death.image()
        return m


class AppError(ArbiterError): code = "app"  # noqa: E701
class UnknownActor(ArbiterError): code = "unknown_actor"  # noqa: E701
class UnknownCommand(ArbiterError): code = "unknown_command"  # noqa: E701
class Invalid(ArbiterError): code = "invalid"  # noqa: E701
class Refused(ArbiterError): code = "refused"  # noqa: E701
class Overloaded(ArbiterError): code = "overloaded"  # noqa: E701
class TooLarge(ArbiterError): code = "too_large"  # noqa: E701
class NotEncodable(ArbiterError): code = "not_encodable"  # noqa: E701
class DeadlineExceeded(ArbiterError): code = "deadline"  # noqa: E701
class Canceled(ArbiterError): code = "canceled"  # noqa: E701
class TargetDown(ArbiterError): code = "down"  # noqa: E701
class Cycle(ArbiterError): code = "cycle"  # noqa: E701
class Exists(ArbiterError): code = "exists"  # noqa: E701
class VersionMismatch(ArbiterError): code = "version"  # noqa: E701
class ProtocolError(ArbiterError): code = "protocol"  # noqa: E701
class Closed(ArbiterError): code = "closed"  # noqa: E701


_CLASSES = {c.code: c for c in ArbiterError.__subclasses__()}


# Values (docs/json.md, "Values")


class Ref(NamedTuple):
    """Names an actor: one life of it (aid), or whoever has the name. It may travel in messages."""

    aid: str = ""
    name: str = ""

    @property
    def address(self) -> str:
        return self.aid or self.name


Target = Union[str, Ref, Mapping[str, Any]]  # a name or an aid, a Ref, or what a Ref is in a message


def _ref_of(v: Any) -> Optional[Ref]:
    """v as a Ref, if it is one, or has been one before it travelled."""
    if isinstance(v, Ref):
        return v
    if not isinstance(v, Mapping):
        return None
    aid, name = v.get("aid") or "", v.get("name") or ""
    return Ref(aid, name) if isinstance(aid, str) and isinstance(name, str) and (aid or name) else None


def _address(target: Target) -> str:
    if isinstance(target, str):
        return target
    ref = _ref_of(target)
    if ref is None:
        raise TypeError(f"a target is a name, an aid or a Ref, not {target!r:.100}")
    return ref.address


MAX_DEPTH = 1000  # lists and maps inside one another
_DIGITS = 4000  # int() takes 4,300 since Python 3.11
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]|(u[dD][89a-fA-F])|.)")  # of JSON; 1: half of a surrogate pair
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")


class _NoImage(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason, self.path = reason, ""


def dumps(value: Any) -> str:
    """Returns the JSON text of value; NotEncodable names the place of what has none."""
    def text() -> str:
        out: List[str] = []
        _write(value, out.append, 0)
        return "".join(out)

    try:
        return _deeply(text)
    except _NoImage as e:
        raise NotEncodable(f"cannot encode {e.path.lstrip('.')[:200] or 'the value'}: {e.reason}", started=False) from None
    except Exception as e:  # of a method of the value's own, or because a thread changes it meanwhile
        raise NotEncodable(f"cannot encode the value: {_failure(e)}", started=False) from e


def _deeply(f: Callable[[], Any]) -> Any:
    """Runs f, once more with a higher limit if the recursion limit is in the way."""
    try:
        return f()
    except RecursionError:
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(before + 8 * MAX_DEPTH)
        try:
            return f()
        finally:
            sys.setrecursionlimit(before)


def _write(v: Any, put: Callable[[str], None], depth: int) -> None:
    if v is None:
        put("null")
    elif v is True or v is False:
        put("true" if v else "false")
    elif isinstance(v, str):
        if not v.isascii():
            try:
                v.encode()
            except UnicodeEncodeError:
                raise _NoImage("half of a surrogate pair is not UTF-8; use bytes for bytes") from None
        put(encode_basestring(v))
    elif isinstance(v, int):
        put(_int_text(int(v)))
    elif isinstance(v, float):
        put(float.__repr__(v) if math.isfinite(v) else '{"$float":"%s"}' % ("nan" if v != v else "inf" if v > 0 else "-inf"))
    elif isinstance(v, Ref):
        _write({k: x for k, x in v._asdict().items() if x}, put, depth)
    elif isinstance(v, (list, tuple)):
        _write_list(v, put, depth)
    elif isinstance(v, Mapping):
        _write_map(v, put, depth)
    elif isinstance(v, (bytes, bytearray, memoryview)):
        put('{"$bytes":"%s"}' % base64.b64encode(v.tobytes() if isinstance(v, memoryview) else v).decode())  # a slice may have gaps
    elif isinstance(v, (set, frozenset)):
        put('{"$set":')
        _write_list(v, put, depth)
        put("}")
    elif isinstance(v, datetime.datetime):
        put('{"$time":"%s"}' % _time_text(v))
    elif isinstance(v, uuid.UUID):
        put('{"$uuid":"%s"}' % v)
    else:
        raise _NoImage(f"a {type(v).__qualname__} has no image on the wire")


def _write_list(v: Iterable[Any], put: Callable[[str], None], depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise _NoImage(f"more than {MAX_DEPTH} deep; does it hold itself?")
    put("[")
    for i, x in enumerate(v):
        if i:
            put(",")
        try:
            _write(x, put, depth + 1)
        except _NoImage as e:
            e.path = f"[{i}]{e.path}"
            raise
    put("]")


def _write_map(v: Mapping[Any, Any], put: Callable[[str], None], depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise _NoImage(f"more than {MAX_DEPTH} deep; does it hold itself?")
    if not all(isinstance(k, str) for k in v) or len(v) == 1 and next(iter(v)).startswith("$"):
        if any(isinstance(k, (tuple, frozenset)) for k in v):
            raise _NoImage("a map whose key is a list, a map or a set")
        put('{"$map":')
        _write_list(list(v.items()), put, depth - 1)  # a pair is no list of its own: each stands where the map does
        put("}")
        return
    put("{")
    for i, (k, x) in enumerate(v.items()):
        if i:
            put(",")
        try:
            _write(k, put, depth)
            put(":")
            _write(x, put, depth + 1)
        except _NoImage as e:
            e.path = f".{k}{e.path}"
            raise
    put("}")


def _int_text(n: int) -> str:
    if n.bit_length() < 3 * _DIGITS:
        return int.__repr__(n)
    if n < 0:
        return "-" + _int_text(-n)
    high, low = divmod(n, 10 ** _DIGITS)
    return _int_text(high) + int.__repr__(low).zfill(_DIGITS)


def _int_of(s: str) -> int:
    if len(s) <= _DIGITS:
        return int(s)
    if s[0] == "-":
        return -_int_of(s[1:])
    return _int_of(s[:-_DIGITS]) * 10 ** _DIGITS + int(s[-_DIGITS:])


def _time_text(t: datetime.datetime) -> str:
    offset = t.utcoffset()
    if offset is None:
        raise _NoImage("a datetime without a time zone is no moment: give it one")
    if offset.total_seconds() % 60:
        t, offset = t.astimezone(datetime.timezone.utc), datetime.timedelta(0)
    text = t.replace(tzinfo=None).isoformat()
    if "." in text:
        text = text.rstrip("0")
    if not offset:
        return text + "Z"
    minutes = int(offset.total_seconds()) // 60
    return text + "%s%02d:%02d" % ("-" if minutes < 0 else "+", *divmod(abs(minutes), 60))


def _time_of(s: str) -> datetime.datetime:
    m = _TIME.fullmatch(s)
    if not m:
        raise ValueError(f"{s!r} is not a moment as RFC 3339 has it")
    zone = datetime.timezone.utc
    if m[8] not in "Zz":
        minutes = int(m[8][1:3]) * 60 + int(m[8][4:])
        zone = datetime.timezone(datetime.timedelta(minutes=-minutes if m[8][0] == "-" else minutes))
    micro = int(((m[7] or "") + "000000")[:6])  # finer than Python has
    return datetime.datetime(*(int(m[i]) for i in range(1, 7)), micro, zone)


def loads(text: str) -> Any:
    """Returns the value of a JSON text; Invalid if it is none."""
    value, wrong = _parse(text)
    if wrong:
        raise Invalid(wrong, started=False)
    return value


def _parse(text: str) -> Tuple[Any, str]:
    """Returns the value, and what is wrong with a value inside of it that is JSON all the same. ValueError: not JSON."""
    wrong: List[str] = []

    def pairs(items: List[Tuple[str, Any]]) -> Any:
        if len(items) == 1 and items[0][0][:1] == "$":
            try:
                return _image(*items[0])
            except (ValueError, TypeError, OverflowError) as e:
                wrong.append(f"{items[0][0]}: {e}")
                return None
        m = dict(items)
        if len(m) != len(items):
            raise ValueError("a key stands twice")
        return m

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_int=_int_of, parse_constant=constant)
    try:
        value = _deeply(lambda: decoder.decode(text))
    except RecursionError:  # in C it goes less deep in some versions of Python, whatever the limit
        decoder.scan_once = json.scanner.py_make_scanner(decoder)
        value = _deeply(lambda: decoder.decode(text))
    if _SURROGATE.search(text) and any(m[1] for m in _ESCAPE.finditer(text)):
        raise ValueError("half of a surrogate pair")
    return value, wrong[0] if wrong else ""


def _image(key: str, v: Any) -> Any:
    if key == "$map":
        if not isinstance(v, list) or not all(isinstance(x, list) and len(x) == 2 for x in v):
            raise TypeError("want a list of lists of two")
        if any(isinstance(k, (list, dict, set)) for k, _ in v):
            raise TypeError("a map whose key is a list, a map or a set")
        m = dict(v)
        if len(m) != len(v):
            raise ValueError("two keys are the same in Python")
        return m
    if key == "$set":
        if not isinstance(v, list):
            raise TypeError("want a list")
        s = {_frozen(x) for x in v}
        if len(s) != len(v):
            raise ValueError("two elements are the same in Python")
        return s
    if key not in ("$bytes", "$time", "$uuid", "$float"):
        raise ValueError("a key that is not known; a map with that key alone is written as $map")
    if not isinstance(v, str):
        raise TypeError("want a text")
    if key == "$bytes":
        return base64.b64decode(v, validate=True)
    if key == "$time":
        return _time_of(v)
    if key == "$uuid":
        if len(v) != 36:
            raise ValueError(f"{v!r} is not a UUID")
        return uuid.UUID(v)
    if v not in ("nan", "inf", "-inf"):
        raise ValueError(f'{v!r} is not "nan", "inf" or "-inf"')
    return float(v)


def _frozen(v: Any) -> Any:
    """v as an element of a set: a list becomes a tuple, a set a frozenset; a map cannot be one."""
    if isinstance(v, list):
        return tuple(_frozen(x) for x in v)
    return frozenset(v) if isinstance(v, set) else v


# Frames (RFC 6455, unmasked)

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class Violation(Exception):
    """What the other end sent may not be; code is that of the close frame that says so."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def frame(opcode: int, payload: bytes) -> bytes:
    """Returns one final frame, its length in the shortest form."""
    n = len(payload)
    if n < 126:
        return bytes((0x80 | opcode, n)) + payload
    if n < 1 << 16:
        return struct.pack(">BBH", 0x80 | opcode, 126, n) + payload
    return struct.pack(">BBQ", 0x80 | opcode, 127, n) + payload


def close_frame(code: int, reason: str) -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + reason.encode()[:123].decode(errors="ignore").encode())


class FrameReader:
    """Takes bytes as they come and returns what is whole: messages and control frames."""

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self.limit = limit  # of one message, in bytes
        self._buffer = bytearray()
        self._parts: Optional[bytearray] = None  # of a message in fragments

    def feed(self, data: bytes) -> Iterable[Tuple[int, bytes]]:
        """Yields (opcode, payload), the payload of a message as bytes in UTF-8. Raises Violation."""
        self._buffer += data
        while True:
            whole = self._next()
            if whole is None:
                return
            final, opcode, payload = whole
            if opcode in (CLOSE, PING, PONG):
                yield opcode, payload
                continue
            if opcode == BINARY:
                raise Violation(1003, "a binary frame: after a text frame only text is taken")
            if (opcode == 0) != (self._parts is not None):
                raise Violation(1002, "a continuation of nothing" if opcode == 0 else "a message inside another's fragments")
            if self._parts is not None:
                self._parts += payload
                payload = bytes(self._parts)
            if not final:
                self._parts = self._parts if self._parts is not None else bytearray(payload)
                continue
            self._parts = None
            yield TEXT, payload

    def _next(self) -> Optional[Tuple[bool, int, bytes]]:
        b = self._buffer
        if not b:
            return None
        opcode = b[0] & 0x0F
        if b[0] & 0x70 or opcode not in (0, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(1002, "reserved bits or opcode")
        if len(b) < 2:
            return None
        if b[1] & 0x80:
            raise Violation(1002, "a masked frame")
        n, head = b[1], 2
        if opcode >= 8 and (n > 125 or not b[0] & 0x80):
            raise Violation(1002, "a control frame of more than 125 bytes, or in fragments")
        if n == 126:
            if len(b) < 4:
                return None
            n, head = struct.unpack_from(">H", b, 2)[0], 4
            least = 126
        elif n == 127:
            if len(b) < 10:
                return None
            n, head = struct.unpack_from(">Q", b, 2)[0], 10
            least = 1 << 16
        else:
            least = 0
        if n < least:
            raise Violation(1002, "a length that is not in its shortest form")
        if opcode < 8 and n + len(self._parts or b"") > self.limit:
            raise Violation(1009, f"a message of more than {self.limit} bytes")
        if len(b) < head + n:
            return None
        final, payload = bool(b[0] & 0x80), bytes(b[head:head + n])
        del b[:head + n]
        return final, opcode, payload


# A request, and the handler at work on it


class Request:
    """What a handler answers; ``current()`` returns it. May be read from any thread."""

    def __init__(self, life: "_Life", m: Mapping[str, Any], size: int) -> None:
        self.command: str = m["command"]
        self.sender: str = m.get("sender") or ""  # the aid of who sent it
        self.deadline: Optional[float] = None  # of time.monotonic()
        self._over = ""
        self._whole = self  # but of a call to oneself what it is a part of: that has the turn
        self._outer: Optional[Request] = None  # whose handler made the call to oneself
        self._life, self._size, self._ack = life, size, m.get("ack")
        self._args, self._kwargs = m.get("args"), m.get("kwargs")
        self._came = time.monotonic()
        self._began = 0.0
        self._chained = m.get("chained") is True  # this actor itself waits for it, further up
        self._answered = self._ack is None
        self._returned = False  # its handler
        self._away = False  # it has given up its turn, of an interleaved actor
        self._calls = 0  # in which it waits meanwhile
        self._turn: "Optional[asyncio.Future[None]]" = None  # while it wants its turn back
        self._task: Optional["asyncio.Task[Any]"] = None  # of an async handler
        self._timer: Optional[asyncio.TimerHandle] = None
        timeout = m.get("timeout")
        if timeout:
            self.deadline = self._came + timeout / 1000

    @property
    def over(self) -> str:
        """Why nobody waits any more: "deadline", "canceled", "closed"; "" while somebody may."""
        return self._over or (self._outer.over if self._outer else "")

    @property
    def canceled(self) -> bool:
        """Whether a handler may give up: nobody waits for its result."""
        return bool(self.over)

    def remaining(self) -> Optional[float]:
        """Seconds until nobody waits any more; None: there is no such moment."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def _within(self, command: str, left: float) -> "Request":
        """A request that the handler of this one makes of its own actor."""
        r = Request(self._life, {"command": command, "sender": self._life.ref.aid}, 0)
        r.deadline, r._outer, r._whole = time.monotonic() + left, self, self._whole
        return r


_request: contextvars.ContextVar[Optional[Request]] = contextvars.ContextVar("arbiter_request", default=None)
_deadline: contextvars.ContextVar[Optional[float]] = contextvars.ContextVar("arbiter_deadline", default=None)


def current() -> Optional[Request]:
    """Returns the request whose handler this runs in."""
    return _request.get()


@contextlib.contextmanager
def deadline(seconds: float) -> Any:
    """Bounds the calls made in its block, all together; never beyond a deadline there is already.

        with arbiter.deadline(2.5):
            n = await me.call("tally", "add", 5)
    """
    at = time.monotonic() + seconds
    before = _deadline.get()
    token = _deadline.set(at if before is None else min(at, before))
    try:
        yield
    finally:
        _deadline.reset(token)


class Down(NamedTuple):
    """The end of an actor that was watched."""

    aid: str
    name: str
    death: Death


class Watch:
    """Tells, once, that an actor has ended. ``await watch.down()``, as often as you like."""

    def __init__(self, life: "_Life", ack: str, target: str) -> None:
        self._life, self._ack, self._target = life, ack, target
        self._down: "asyncio.Future[Down]" = life.loop.create_future()

    async def down(self) -> Down:
        return await asyncio.shield(self._down)

    def stop(self) -> None:
        """Nobody waits for it any more."""
        if self._life.watches.pop(self._ack, None):
            self._life.post({"command": "unwatch", "ack": self._ack})
        self._down.cancel()


# Commands, and their arguments


class _Command:
    def __init__(self, f: Callable[..., Any], name: str, doc: str, ack: bool) -> None:
        self.f, self.name, self.ack = f, name, ack
        self.in_place = False  # answered even while a handler runs
        self.doc = doc or (inspect.getdoc(f) or "").partition("\n")[0]
        self.threaded = not inspect.iscoroutinefunction(f)
        self.params = list(inspect.signature(f).parameters.values())
        try:
            self.hints = typing.get_type_hints(f)
        except Exception:  # names that cannot be resolved: nothing to check against
            self.hints = {}
        self.refs = {name for name, hint in self.hints.items() if _has_ref(hint)}
        self.positional = [p for p in self.params if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.named = {p.name: p for p in self.params if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
        self.rest = next((p for p in self.params if p.kind == p.VAR_POSITIONAL), None)
        self.more = next((p for p in self.params if p.kind == p.VAR_KEYWORD), None)

    def info(self) -> Dict[str, Any]:
        takes = ", ".join(str(p) for p in self.params)
        gives = self.hints.get("return", "")
        return {"name": self.name, "doc": self.doc, "ack": self.ack, "in": takes,
                "out": gives if isinstance(gives, str) else getattr(gives, "__name__", str(gives))}

    def bind(self, args: Any, kwargs: Any) -> Tuple[List[Any], Dict[str, Any]]:
        """Returns the arguments as the handler takes them; Invalid names the one that does not fit.

        A typed command of Go sends a struct as its one argument: a lone map that does not fit otherwise fills them by name."""
        args, kwargs = [] if args is None else args, {} if kwargs is None else kwargs
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise Invalid("args is a list and kwargs an object")
        try:
            return self._bind(args, kwargs)
        except Invalid:
            if len(args) == 1 and not kwargs and isinstance(args[0], dict) and args[0].keys() <= self.named.keys():
                return self._bind([], args[0])
            raise

    def _bind(self, args: List[Any], kwargs: Dict[str, Any]) -> Tuple[List[Any], Dict[str, Any]]:
        if len(args) > len(self.positional) and self.rest is None:
            most = ", ".join(p.name for p in self.positional)
            raise Invalid(f"{len(args)} positional arguments, and it takes "
                          + (f"at most {len(self.positional)}: {most}" if self.positional else "none"))
        given = {p.name for p, _ in zip(self.positional, args)}
        args = [self._taken(p, v) for p, v in zip(self.positional, args)] + [self._taken(self.rest, v) for v in args[len(self.positional):]]
        named: Dict[str, Any] = {}
        for name, v in kwargs.items():
            p = self.named.get(name)
            if p is None and self.more is None:
                raise Invalid(f'no argument is called "{name}"' + _did_you_mean(name, self.named))
            if name in given:
                raise Invalid(f'"{name}" is given twice, by position and by name')
            named[name] = self._taken(p or self.more, v)
        for p in self.params:
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in given and p.name not in kwargs:
                raise Invalid(f'the argument "{p.name}" is missing')
        return args, named

    def _taken(self, p: Any, v: Any) -> Any:
        """v as the handler takes it."""
        hint = self.hints.get(p.name, Any)
        if not _fits(v, hint):
            raise Invalid(f'argument "{p.name}": want {getattr(hint, "__name__", hint)}, got {_described(v)}')
        return _with_refs(v, hint) if p.name in self.refs else v


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    if len(name) > 128:
        return ""  # nobody's slip of the finger, and comparing takes its length squared
    near = difflib.get_close_matches(name, list(known), 1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _described(v: Any) -> str:
    kind = {str: "text", list: "a list", dict: "a map", type(None): "null"}.get(type(v), type(v).__name__)
    if type(v) is int:
        return f"{kind} {_int_text(v):.40}"
    return f"{kind} {v!r:.40}" if isinstance(v, (str, bool, float)) else kind


_UNIONS = (Union, getattr(types, "UnionType", Union))


def _fits(v: Any, hint: Any) -> bool:
    """Whether v is of the type hint, as far as that can be told without a type checker."""
    if hint is Any or isinstance(hint, (str, typing.TypeVar)):
        return True
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in _UNIONS:
        return any(_fits(v, h) for h in of)
    if origin is typing.Literal:
        return any(v == x and type(v) is type(x) for x in of)
    if hint is None or hint is type(None):
        return v is None
    cls = origin or hint
    if not isinstance(cls, type):
        return True
    if cls is float:
        return isinstance(v, (int, float)) and not isinstance(v, bool)
    if cls is int:
        return isinstance(v, int) and not isinstance(v, bool)
    if cls is tuple:
        return isinstance(v, (list, tuple))
    if cls is Ref:
        return _ref_of(v) is not None
    try:
        if not isinstance(v, cls):
            return False
    except Exception:  # what a TypedDict or a Protocol asks for cannot be told, but that one is a dict
        return isinstance(v, dict) or dict not in cls.__mro__
    if of and isinstance(v, (list, set)):
        return all(_fits(x, of[0]) for x in v)
    if len(of) == 2 and isinstance(v, dict):
        return all(_fits(k, of[0]) and _fits(x, of[1]) for k, x in v.items())
    return True


def _has_ref(hint: Any) -> bool:
    return hint is Ref or any(_has_ref(h) for h in typing.get_args(hint))


def _with_refs(v: Any, hint: Any) -> Any:
    """v, which fits the hint, with a Ref wherever that has one: of lists and dicts, too, and of unions what fits first."""
    of = typing.get_args(hint)
    if hint is Ref:
        return _ref_of(v)
    if typing.get_origin(hint) in _UNIONS:
        return _with_refs(v, next(h for h in of if _fits(v, h)))
    if len(of) == 1 and isinstance(v, list):
        return [_with_refs(x, of[0]) for x in v]
    if len(of) == 2 and isinstance(v, dict):
        return {k: _with_refs(x, of[1]) for k, x in v.items()}
    return v


class _Threads:
    """Runs plain handlers, each in a thread, of which there are as many as handlers at a time. They end with the program,
    whatever they do."""

    def __init__(self) -> None:
        self._count, self._idle = 0, 0
        self._work: "queue.SimpleQueue[Callable[[], None]]" = queue.SimpleQueue()

    async def run(self, f: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        done: "asyncio.Future[Any]" = loop.create_future()
        context = contextvars.copy_context()

        def settle(result: Any, failed: Optional[BaseException]) -> None:
            self._idle += 1
            if done.cancelled():
                return
            if failed is None:
                done.set_result(result)
            elif isinstance(failed, StopIteration):  # a future cannot hold one
                done.set_exception(RuntimeError(f"the handler raised {_failure(failed)}"))
            else:
                done.set_exception(failed)

        def work() -> None:
            result, failed = None, None
            try:
                result = context.run(f)
            except BaseException as e:
                failed = e
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, result, failed)

        if self._idle:
            self._idle -= 1
        else:
            self._count += 1
            threading.Thread(target=self._loop, name=f"arbiter-{self._count}", daemon=True).start()
        self._work.put(work)
        return await done

    def _loop(self) -> None:
        while True:
            self._work.get()()


# The actor


class _Sync:
    """The calls of an actor, for handlers that run in threads: each waits where it is called."""

    def __init__(self, actor: "Actor") -> None:
        self._actor = actor

    def _wait(self, f: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        async def run() -> Any:
            return await f(*args, **kwargs)

        loop = self._actor.life.loop
        if threading.get_ident() == self._actor.life.thread:
            raise RuntimeError("sync would stop the event loop here: await the actor's own method")
        return asyncio.run_coroutine_threadsafe(run(), loop).result()

    def call(self, target: Target, command: str, /, *args: Any, **kwargs: Any) -> Any:
        return self._wait(self._actor.call, target, command, *args, **kwargs)

    def send(self, target: Target, command: str, /, *args: Any, **kwargs: Any) -> None:
        self._wait(self._actor.send, target, command, *args, **kwargs)

    def spawn(self, kind: str = "", **options: Any) -> Ref:
        return self._wait(self._actor.spawn, kind, **options)


class Actor:
    """An actor's behaviour, and once it has joined an arbiter, its life. One life each.

    mode: "serial" (one handler at a time, in order), "interleaved" (others may start while a handler waits for a call), or
    "concurrent" (up to ``limit`` at a time). inbox: how many messages, and bytes, may wait; what comes beyond is refused, as
    overloaded. grace: seconds a stop may take where the arbiter does not say.
    """

    def __init__(self, kind: str, *, mode: str = "serial", limit: int = 64, inbox: Tuple[int, int] = (2048, 8 << 20), name: str = "",
                 aid: str = "", grace: float = 5.0) -> None:
        if mode not in ("serial", "interleaved", "concurrent"):
            raise ValueError(f'the mode of an actor is "serial", "interleaved" or "concurrent", not {mode!r}')
        self.kind, self.mode, self.limit, self.inbox, self.grace = kind, mode, limit if mode == "concurrent" else 1, inbox, grace
        self.wants = {k: v for k, v in (("name", name), ("aid", aid)) if v}
        self.commands: Dict[str, _Command] = {}
        self.hooks: Dict[str, Callable[..., Any]] = {}
        self.config: Dict[str, Any] = {}  # the actor's own settings: from birth, and by the command config
        self.sync = _Sync(self)
        self._life: Optional[_Life] = None
        self._inherited: Optional[socket.socket] = None
        for f, name_, ack in _BUILTINS:
            c = self.commands[name_] = _Command(types.MethodType(f, self), name_, f.__doc__ or "", ack)
            c.in_place = not inspect.iscoroutinefunction(f)

    def command(self, f: Any = None, *, name: str = "", doc: str = "", ack: bool = True) -> Any:
        """Makes a function the handler of a command. ack=False: a call of it returns as soon as it is accepted."""
        if f is None:
            return lambda f: self.command(f, name=name, doc=doc, ack=ack)
        c = _Command(f, name or f.__name__, doc, ack)
        self.commands[c.name] = c
        return f

    def _hook(self, which: str, f: Callable[..., Any]) -> Callable[..., Any]:
        self.hooks[which] = f
        return f

    def on_start(self, f: Callable[[], Any]) -> Callable[[], Any]:
        """f runs before the first handler. If it raises, the actor could not start."""
        return self._hook("start", f)

    def on_stop(self, f: Callable[[], Any]) -> Callable[[], Any]:
        """f runs when the actor was asked to stop and has handled what it had accepted."""
        return self._hook("stop", f)

    def on_undelivered(self, f: Callable[[ArbiterError], Any]) -> Callable[[ArbiterError], Any]:
        """f is told of one-way messages that came back. Otherwise they are logged."""
        return self._hook("undelivered", f)

    def on_info(self, f: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
        """f adds to what the command info says. It is called at any time, and must not wait."""
        return self._hook("info", f)

    # While it lives

    @property
    def life(self) -> "_Life":
        if self._life is None or not self._life.ref.aid:
            raise Closed("this actor has not joined an arbiter: run it, or use connect", started=False)
        return self._life

    @property
    def ref(self) -> Ref:
        return self.life.ref

    async def ask(self, target: Target, command: str, args: Sequence[Any] = (), kwargs: Optional[Mapping[str, Any]] = None,
                  timeout: Optional[float] = None) -> Any:
        """Asks target for command and returns the result; ArbiterError says how it failed. It ends, at the latest after
        timeout seconds (default 30), or when the time of the request it is made for is up. Cancelling it tells the handler."""
        return await self.life.ask(target, command, args, kwargs, timeout)

    async def call(self, target: Target, command: str, /, *args: Any, **kwargs: Any) -> Any:
        """ask, with the arguments as they are in the call. Its time: see deadline."""
        return await self.life.ask(target, command, args, kwargs, None)

    async def send(self, target: Target, command: str, /, *args: Any, **kwargs: Any) -> None:
        """Sends one way. What does not reach a handler comes back to on_undelivered."""
        await self.life.send(target, command, args, kwargs)

    async def spawn(self, kind: str = "", *, timeout: Optional[float] = None, **options: Any) -> Ref:
        """Has the arbiter start an actor: of a kind it knows, or ``run=["python3", "worker.py"]``. The options are those of
        actor.SpawnArgs in Go, such as name and extra; durations (start_timeout, budget, grace, heartbeat) are seconds."""
        args: Dict[str, Any] = {"kind": kind} if kind else {}
        for k, v in options.items():
            head, *tail = k.split("_")
            k = head + "".join(t.title() for t in tail)
            args[k] = round(v * 1e9) if k in ("startTimeout", "heartbeat", "heartbeatTimeout", "budget", "grace") else v
        r = await self.ask("arbiter", "spawn", kwargs=args, timeout=timeout)
        return Ref(r.get("aid", ""), r.get("name", ""))

    async def watch(self, target: Target) -> Watch:
        """Asks to be told of target's end."""
        return await self.life.watch(target)

    def stop(self, reason: str = "its own wish") -> None:
        """Stops the actor, as if it had been asked to."""
        self.life.stop(reason)

    # To live

    def run(self) -> NoReturn:
        """Joins the arbiter the environment names, serves until the actor has ended, and exits the program: 0 if it was asked
        to stop, 1 if it failed or lost its arbiter, 2 if there is none."""
        self._inherited = _inherited()  # before the event loop opens descriptors of its own
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            death = loop.run_until_complete(self.serve())
        except ArbiterError as e:
            print(f"{self.kind}: {e}", file=sys.stderr)
            sys.exit(2 if isinstance(e, _NoAddress) else 1)
        except SystemExit:
            if self._life:
                self._life.outlast()
            raise
        finally:
            with contextlib.suppress(Exception):
                _wind_up(loop)
        if death.cause != "stopped":
            print(f"{self.kind}: {death.cause}: {death.reason}", file=sys.stderr)
            sys.exit(1)
        sys.exit(0)

    async def serve(self, address: str = "", token: str = "", signals: bool = True) -> Death:
        """Joins, and returns when the actor has ended. signals: SIGTERM and SIGINT ask it to stop. So does cancelling it: it waits for
        the end then too, but if it is canceled once more."""
        life = self._begin(calls=False)
        undo = _stop_on_signals(life) if signals else None
        try:
            await life.join(address, token)
            try:
                return await asyncio.shield(life.ended)
            except asyncio.CancelledError:
                life.stop("nobody serves it any more")
                await asyncio.shield(life.ended)
                raise
        finally:
            if undo:
                undo()

    def _begin(self, calls: bool) -> "_Life":
        if self._life is not None:
            raise Closed("an actor lives once", started=False)
        self._life = _Life(self, calls)
        return self._life


@contextlib.asynccontextmanager
async def connect(address: str = "", *, token: str = "", kind: str = "python", name: str = "") -> Any:
    """Joins an arbiter to call its actors, as nobody's target.

        async with arbiter.connect("unix:/run/arbiter.sock") as me:
            print(await me.call("tally", "add", 5))
    """
    actor = Actor(kind, name=name)
    life = actor._begin(calls=True)
    await life.join(address, token)
    try:
        yield actor
    finally:
        life.stop("its program has what it wanted")
        await asyncio.shield(life.ended)


class _NoAddress(Closed):
    pass


_token = ""


def _token_of_environment() -> str:
    """It is not for this program's own children, but for each time that it joins."""
    global _token
    _token = os.environ.pop("ARBITER_TOKEN", "") or _token
    return _token


def _inherited() -> Optional[socket.socket]:
    """Returns the connection the arbiter handed over; None if there is none, or something on the way has closed it. It is not for
    this program's own children."""
    fd = os.environ.pop("ARBITER_FD", "")
    try:
        if not fd or not stat.S_ISSOCK(os.fstat(int(fd)).st_mode):
            return None
        sock = socket.socket(fileno=int(fd))
        sock.set_inheritable(False)
        return sock
    except (OSError, ValueError):
        return None


# Forks. A child that is made by one, as those of multiprocessing are, has the signal handlers of its parent, and the descriptor by which
# they wake the parent's event loop: a SIGTERM for the child would stop the actor, and not end the child. So it lets go of both, and a
# signal that comes before it has waits.

_held: Dict[signal.Signals, Any] = {}  # the signals that ask an actor to stop, and what they did before
_forking = threading.local()


def _before_fork() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _held)


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _in_child() -> None:
    try:
        if _held:
            signal.set_wakeup_fd(-1)
        for sig, before in _held.items():
            signal.signal(sig, before)
        _held.clear()  # from here on they are the child's own
    finally:
        _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)


def _stop_on_signals(life: "_Life") -> Callable[[], None]:
    undo: List[Callable[[], Any]] = []

    def stop(sig: signal.Signals) -> None:
        if life.ref.aid:
            life.stop(f"signal {sig.name}")
        else:  # it has not joined, and there is nothing to end in order
            life.loop.remove_signal_handler(sig)
            os.kill(os.getpid(), sig)

    for sig in (signal.SIGTERM, signal.SIGINT):
        try:
            before = signal.getsignal(sig)
            life.loop.add_signal_handler(sig, stop, sig)
            _held.setdefault(sig, signal.SIG_DFL if before is None else before)
            undo.append(lambda sig=sig: (_held.pop(sig, None), life.loop.remove_signal_handler(sig)))
        except (NotImplementedError, ValueError, RuntimeError):  # Windows, or not the main thread
            pass
    return lambda: [u() for u in undo] and None


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what handlers left behind, within reason."""
    left = asyncio.all_tasks(loop)
    for t in left:
        t.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=0.2))
    loop.close()


# The commands of every actor. ping, info, config, commands and stop are answered even while a handler runs.


def _ping(self: Actor) -> str:
    """answers pong"""
    return "pong"


async def _echo(self: Actor, value: Any) -> Any:
    """answers what it is given"""
    return value


def _info(self: Actor) -> Dict[str, Any]:
    """says what the actor is and does"""
    return self.life.info()


def _config(self: Actor, op: typing.Literal["get", "set"], name: str, value: Any = None) -> Any:
    """config get NAME, config set NAME VALUE"""
    if op == "set":
        if name not in self.config and len(self.config) >= 1024:
            raise AppError("an actor holds 1024 settings", app="too_many_settings")
        self.config[name] = value
    elif name not in self.config:
        raise AppError(f'the actor has no setting "{name}"', app="no_setting")
    return self.config[name]


def _commands(self: Actor) -> List[Dict[str, Any]]:
    """lists the commands, with their types"""
    return [c.info() for _, c in sorted(self.commands.items())]


def _stop(self: Actor) -> None:
    """asks the actor to stop"""
    self.life.stop("asked to")


_BUILTINS: List[Tuple[Callable[..., Any], str, bool]] = [
    (_ping, "ping", True), (_echo, "echo", True), (_info, "info", True), (_config, "config", True), (_commands, "commands", True),
    (_stop, "stop", False),
]


# One life: the connection, the calls under way in both directions, the inbox


class _Life(asyncio.Protocol):
    def __init__(self, actor: Actor, calls: bool) -> None:
        self.actor, self.only_calls = actor, calls
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.ended: "asyncio.Future[Death]" = self.loop.create_future()
        self.ref, self.arbiter = Ref(), ""
        self.state = "starting"  # running, stopping, closed
        self.calls: Dict[str, Tuple["asyncio.Future[Any]", str, str]] = {}
        self.watches: Dict[str, Watch] = {}
        self._acks = 0
        self._welcome: "asyncio.Future[Dict[str, Any]]" = self.loop.create_future()
        self._transport: Optional[asyncio.Transport] = None
        self._reader = FrameReader()
        self._max = MAX_MESSAGE
        self._room = asyncio.Event()  # to write
        self._room.set()
        self._born = self._heard = time.monotonic()
        self._lost: Optional[str] = None  # why the connection has ended
        self._parted = False  # it has said goodbye
        self._gone = asyncio.Event()
        # The inbox and the turns.
        self._inbox: "collections.deque[Tuple[Request, _Command]]" = collections.deque()
        self._bytes = 0  # in the inbox
        self._working: Dict[Request, None] = {}
        self._busy = 0  # handlers that have a turn; the start hook has one
        self._back: "collections.deque[Request]" = collections.deque()  # whose handlers want theirs back
        self._idle = asyncio.Event()
        self._counts = {"accepted": 0, "started": 0, "refused": 0}
        self._threads = _Threads()
        self._tasks: "set[asyncio.Task[Any]]" = set()
        self._stopped = ""  # the reason of the stop
        self._grace = actor.grace

    # Joining

    async def join(self, address: str, token: str) -> None:
        """Connects, says hello and is welcomed, within 10 s."""
        t = self._task(self._handshake(address, token))
        try:  # without wait_for, which may overlook before 3.12 that it was canceled
            await asyncio.wait({t}, timeout=10)
            if not t.done():
                raise asyncio.TimeoutError
            t.result()
        except BaseException as e:  # also where who waits for it gives up
            t.cancel()
            self._lost = self._lost or "it never joined"
            self._drop()
            if isinstance(e, (OSError, ValueError, OverflowError, asyncio.TimeoutError)):  # Overflow: a port that is none
                raise Closed(f"cannot join the arbiter: {e or 'no answer within 10 s'}", started=False) from e
            raise
        self._task(self._beats())
        self._task(self._start())

    async def _handshake(self, address: str, token: str) -> None:
        token = await self._connect(address, token)
        a = self.actor
        hello: Dict[str, Any] = {
            "command": "hello", "kind": a.kind, "version": VERSION, "mode": a.mode, "pid": os.getpid(),
            "language": "python %d.%d.%d" % sys.version_info[:3], **a.wants,
        }
        if token:
            hello["token"] = token
        if self.only_calls:
            hello["calls"] = True
        else:
            hello["commands"] = [{"name": c.name, "doc": c.doc, "ack": c.ack} for c in a.commands.values()]
            hello["ready"] = False
        self.post(hello)
        w = await self._welcome
        self.ref, self.arbiter = Ref(w["aid"], w.get("name") or ""), w.get("arbiter") or "arbiter"
        self._max = self._reader.limit = w.get("max_message") or MAX_MESSAGE
        self._beat, self._silence = (w.get("heartbeat") or 6000) / 1000, (w.get("timeout") or 20000) / 1000
        if w.get("budget"):
            self._beat = min(self._beat, w["budget"] / 1000)  # the arbiter learns by a heartbeat that a handler has outlived it
        if w.get("grace"):
            self._grace = w["grace"] / 1000
        a.config.update(w.get("extra") or {})

    async def _connect(self, address: str, token: str) -> str:
        if not address:
            sock = self.actor._inherited or _inherited()
            if sock:
                await self.loop.create_connection(lambda: self, sock=sock)
                return ""
        if not address:
            address, kept = os.environ.get("ARBITER_ADDR", ""), _token_of_environment()
            token = token or kept
        if not address:
            raise _NoAddress("there is no arbiter to join: start this program by one (arbiter run --messages -- python3 worker.py), "
                             "or say where it is in ARBITER_ADDR, as unix:/path or tcp:host:port", started=False)
        kind, _, rest = address.partition(":")
        if kind == "unix":
            await self.loop.create_unix_connection(lambda: self, rest)
        else:
            host, _, port = (rest if kind == "tcp" else address).rpartition(":")
            await self.loop.create_connection(lambda: self, host.strip("[]"), int(port))
        return token

    async def _start(self) -> None:
        self._busy += 1
        hook = self.actor.hooks.get("start")
        try:
            if hook:
                await self._hook(hook)
        except BaseException as e:
            if isinstance(e, _EXITS) or self.state == "closed":
                raise
            log.error("the actor could not start", exc_info=True)
            self._end(Death("start", _failure(e)))
            return
        if self.state == "starting":
            self.state = "running"
        if not self.only_calls:
            self._notify()
        self._release()

    async def _hook(self, f: Callable[..., Any], *args: Any) -> Any:
        if inspect.iscoroutinefunction(f):
            return await f(*args)
        return await self._threads.run(lambda: f(*args))

    def _task(self, coroutine: Any) -> "asyncio.Task[Any]":
        t = self.loop.create_task(coroutine)
        self._tasks.add(t)
        t.add_done_callback(self._tasks.discard)
        return t

    # The connection

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        # One on the same machine may be stopped for as long as it likes, and its silence means nothing: it is gone when the connection is.
        self._local = transport.get_extra_info("socket").family == getattr(socket, "AF_UNIX", None)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        try:
            for opcode, payload in self._reader.feed(data):
                if self._lost is not None:
                    return
                if opcode == TEXT:
                    self._text(payload)
                elif opcode == PING:
                    self._write(frame(PONG, payload))
                elif opcode == CLOSE:
                    self._write(frame(CLOSE, payload[:2]))
                    why = payload[2:].decode(errors="replace")
                    self._close(f"the arbiter closed the connection{': ' if why else ''}{why}")
                    return
        except Violation as e:
            self._violated(e)

    def _text(self, payload: bytes) -> None:
        try:
            m, wrong = _parse(payload.decode())
        except UnicodeDecodeError:
            raise Violation(1007, "text that is not UTF-8") from None
        except (ValueError, RecursionError) as e:
            raise Violation(1007, f"a message that is not JSON: {e}") from None
        if not isinstance(m, dict):
            raise Violation(1007, "a message that is no object")
        m = {k: v for k, v in m.items() if v is not None}  # null is nothing
        if not isinstance(m.get("command"), str):
            raise Violation(1008, "a message that has no command")
        try:
            self._message(m, wrong, len(payload))
        except (KeyError, TypeError, AttributeError, ValueError) as e:
            raise Violation(1008, f'a message "{m["command"]:.40}" that is not as it should be: {e!r}') from e

    def _violated(self, e: Violation) -> None:
        log.error("the arbiter broke the protocol: %s", e)
        self._write(close_frame(e.code, str(e)))
        self._close(f"the arbiter broke the protocol: {e}")

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._close("the connection to the arbiter is gone" + (f": {exc}" if exc else ""))
        self._gone.set()

    def _write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def outlast(self) -> None:
        """Has the connection end with the program and not before. Python takes a while to end, and the arbiter, which sees the
        connection's end, would not know the exit code yet."""
        if self._transport is None or self._lost is not None:
            return
        with contextlib.suppress(OSError):  # no descriptor is left
            os.dup(self._transport.get_extra_info("socket").fileno())  # for the system to close

    def _drop(self) -> None:
        if self._transport:
            self._transport.close()

    def _close(self, why: str) -> None:
        """The connection is over, whoever ended it."""
        if self._lost is not None:
            return
        self._lost = why
        self._room.set()
        self._drop()
        if not self._welcome.done():
            self._welcome.set_exception(Closed(why, started=False))
        for done, target, command in list(self.calls.values()):
            if not done.done():
                done.set_exception(Closed(why, target=target, command=command))
        self.calls.clear()
        for w in self.watches.values():
            if not w._down.done():
                w._down.set_result(Down(w._target, "", Death("connection", why)))
        self.watches.clear()
        if self.state != "closed" and self.ref.aid:
            self._abandon(why)

    def post(self, m: Dict[str, Any]) -> None:
        """Writes a message. NotEncodable, TooLarge or Closed: it was not."""
        if self._lost is not None:
            raise Closed(self._lost, started=False)
        data = dumps(m).encode()
        if len(data) > self._max:
            raise TooLarge(f"a message of {len(data)} bytes; the arbiter takes {self._max}", started=False)
        self._write(frame(TEXT, data))

    def _post(self, m: Dict[str, Any]) -> None:
        with contextlib.suppress(Closed):
            self.post(m)

    # What comes

    def _message(self, m: Dict[str, Any], wrong: str, size: int) -> None:
        command = m["command"]
        if not isinstance(m.get("ack", ""), str):
            raise TypeError("its ack is no text")
        if not self.ref.aid and not self._welcome.done():
            if command == "welcome" and isinstance(m.get("aid"), str):
                self._welcome.set_result(m)
                self.ref = Ref(m["aid"], m.get("name") or "")
                return
            if command == "error":
                self._welcome.set_exception(ArbiterError.parse(m.get("error"), "arbiter", "hello"))
                return
            raise Violation(1008, f'"{command:.40}" instead of a welcome')
        if "target" in m:
            self._request(Request(self, m, size), wrong)
        elif command == "callback":
            self._callback(m, wrong)
        elif command == "cancel":
            self._cancel(m["ack"])
        elif command == "undelivered":
            self._undelivered(ArbiterError.parse(m.get("error")))
        elif command == "down":
            w = self.watches.pop(m["ack"], None)
            if w and not w._down.done():
                w._down.set_result(Down(m.get("actor") or "", m.get("name") or "", Death.parse(m.get("death"))))
        elif command == "stop":
            self.stop(m.get("reason") or "asked to")
        elif command == "goodbye":
            self._write(close_frame(1000, ""))
            self._close("the arbiter said goodbye: " + (Death.parse(m.get("death")).reason or "it stops"))
        # Others are of a later version.

    def _callback(self, m: Dict[str, Any], wrong: str) -> None:
        done, target, command = self.calls.pop(m["ack"], (None, "", ""))
        if done is None or done.done():
            return  # it came too late
        if m.get("error") is not None:
            done.set_exception(ArbiterError.parse(m["error"], target, command))
        elif wrong:
            done.set_exception(Invalid(f"its result cannot be read: {wrong}", started=True, target=target, command=command))
        else:
            done.set_result(m.get("result"))

    def _undelivered(self, e: ArbiterError) -> None:
        hook = self.actor.hooks.get("undelivered")
        if hook is None:
            log.warning("a one-way message came back: %s: %s", e.code, e)
        else:
            self._task(self._guarded(hook, e))

    async def _guarded(self, hook: Callable[..., Any], *args: Any) -> None:
        try:
            await self._hook(hook, *args)
        except Exception:
            log.error("a hook failed", exc_info=True)

    # Requests and their turns

    def _request(self, r: Request, wrong: str) -> None:
        c = self.actor.commands.get(r.command)
        death = Death("stopped", self._stopped)
        waits, most = len(self._inbox), self.actor.inbox
        if c is None:
            e: Optional[ArbiterError] = UnknownCommand(
                f'the kind "{self.actor.kind}" has no command "{r.command}"' + _did_you_mean(r.command, self.actor.commands))
        elif wrong:
            e = Invalid(wrong)
        elif c.in_place:
            return self._in_place(r, c)
        elif self.state in ("stopping", "closed"):
            e = TargetDown("it takes no more messages", death=death)
        elif not r._chained and waits and (waits >= most[0] or self._bytes + r._size > most[1]):
            e = Overloaded(f"its inbox is full: {waits} messages, {self._bytes} bytes")
        else:
            if not c.ack and not self._accept(r, c):
                return
            self._counts["accepted"] += 1
            (self._inbox.appendleft if r._chained else self._inbox.append)((r, c))
            self._bytes += r._size
            return self._pump()
        self._counts["refused"] += 1
        e.started = False
        self._refuse(r, e)

    def _accept(self, r: Request, c: _Command) -> bool:
        """Answers, before it is handled, a call of a command without acknowledgement. It is False if it cannot be."""
        try:
            c.bind(r._args, r._kwargs)
        except Invalid as e:
            self._counts["refused"] += 1
            e.started = False
            self._refuse(r, e)
            return False
        self._answer(r)
        r.deadline = r._ack = None  # nobody waits
        return True

    def _refuse(self, r: Request, e: ArbiterError) -> None:
        """Answers that the handler did not start: to a one-way message too."""
        e.command = r.command
        if r._ack is None:
            self._post({"command": "undelivered", "sender": r.sender, "error": e.image()})
        else:
            self._answer(r, error=e)

    def _in_place(self, r: Request, c: _Command) -> None:
        try:
            args, kwargs = c.bind(r._args, r._kwargs)
        except Invalid as e:
            e.started = False
            return self._refuse(r, e)
        try:
            self._answer(r, c.f(*args, **kwargs))
        except Exception as e:
            self._answer(r, error=_as_answer(e))

    def _pump(self) -> None:
        """Starts what may start."""
        while self._inbox and self._busy < self.actor.limit and not self._back and self.state in ("running", "stopping"):
            if self.ended.done():
                return  # the program is about to exit
            if len(self._working) >= max(self.actor.limit, self.actor.inbox[0]) and not self._inbox[0][0]._chained:
                return  # as many interleaved handlers wait as messages may
            r, c = self._inbox.popleft()
            self._bytes -= r._size
            if r.deadline is not None and time.monotonic() >= r.deadline:
                self._answer(r, error=DeadlineExceeded("its time was up before it could start", started=False))
                continue
            self._busy += 1
            self._working[r] = None
            self._counts["started"] += 1
            self._begin(r, c)
        self._look_idle()

    def _begin(self, r: Request, c: _Command) -> None:
        r._began = time.monotonic()
        if r.deadline is not None:
            r._timer = self.loop.call_at(self.loop.time() + r.deadline - r._began, self._expire, r)
        t = self._task(self._handle(r, c))
        t.add_done_callback(lambda _: self._over(r))  # not in the coroutine: one that is canceled at once never begins
        if not c.threaded:
            r._task = t

    async def _handle(self, r: Request, c: _Command) -> None:
        _request.set(r)
        try:
            args, kwargs = c.bind(r._args, r._kwargs)
        except Invalid as e:
            self._counts["started"] -= 1
            e.started = False
            self._refuse(r, e)
            return
        r._args = r._kwargs = None
        try:
            result = await self._invoke(c, args, kwargs)
            self._answer(r, result)
        except SystemExit as e:  # of the program, not of the handler alone: its exit code says it all
            if not self.ended.done():
                self.ended.set_exception(e)
        except asyncio.CancelledError:
            if not r.over and self.state != "closed":
                self._answer(r, error=Canceled("the handler gave up", started=True))
        except _EXITS:
            raise
        except BaseException as e:
            if not isinstance(e, ArbiterError):
                log.error("the handler of %r failed", c.name, exc_info=True)
            elif r._ack is None:
                log.warning("the one-way message %r failed: %s", c.name, e)
            self._answer(r, error=_as_answer(e))

    async def _invoke(self, c: _Command, args: List[Any], kwargs: Dict[str, Any]) -> Any:
        if not c.threaded:
            return await c.f(*args, **kwargs)
        return await self._threads.run(lambda: c.f(*args, **kwargs))

    def _over(self, r: Request) -> None:
        """The handler of r has returned."""
        r._returned = True
        if r._timer:
            r._timer.cancel()
        self._working.pop(r, None)
        if r._turn:  # for a call that it left behind
            self._back.remove(r)
            self._go_on(r)
        if r._away:
            self._pump()
        else:
            self._release()

    def _release(self) -> None:
        """Gives up a turn: to a handler that wants its own back, or to the next message."""
        self._busy -= 1
        while self._back and self._busy < self.actor.limit:
            r = self._back.popleft()
            if not r._calls:
                self._busy += 1
                r._away = False
            self._go_on(r)
        self._pump()

    def _go_on(self, r: Request) -> None:
        turn, r._turn = r._turn, None
        turn.set_result(None)

    async def _retake(self, r: Request) -> None:
        """Waits until r has its turn again. While another of its calls is under way it does without."""
        if not r._away or r._calls or r._returned:
            return
        if r._turn is None and self._busy < self.actor.limit and not self._back:
            self._busy += 1
            r._away = False
            return
        if r._turn is None:
            r._turn = self.loop.create_future()
            self._back.append(r)
        await asyncio.shield(r._turn)  # it is not for one of its calls alone

    def _look_idle(self) -> None:
        if not self._inbox and not self._working and not self._busy:
            self._idle.set()
        else:
            self._idle.clear()

    def _expire(self, r: Request) -> None:
        self._unwanted(r, "deadline")
        self._answer(r, error=DeadlineExceeded("its time was up while the handler ran", started=True))

    def _unwanted(self, r: Request, why: str) -> None:
        if not r.over:
            r._over = why
            if r._task:
                r._task.cancel()

    def _cancel(self, ack: str) -> None:
        for r in self._working:
            if r._ack == ack:
                r._answered = True
                self._unwanted(r, "canceled")
                return
        for i, (r, _) in enumerate(self._inbox):
            if r._ack == ack:
                del self._inbox[i]
                self._bytes -= r._size
                r._answered = True
                return

    def _answer(self, r: Request, result: Any = None, error: Optional[ArbiterError] = None) -> None:
        if r._answered:
            return
        r._answered = True
        if error is None:
            try:
                return self._post({"command": "callback", "ack": r._ack, "result": result})
            except ArbiterError as e:
                e.started, error = True, e
        self._post({"command": "callback", "ack": r._ack, "error": error.image()})

    # What is sent

    def _ack(self) -> str:
        self._acks += 1
        return str(self._acks)

    def _inside(self) -> Optional[Request]:
        """The request whose handler asks; None in what it left behind."""
        r = _request.get()
        return r if r is not None and r._life is self and not r._whole._returned else None

    def _until(self, r: Optional[Request], timeout: Optional[float]) -> float:
        bounds = [b for b in (_deadline.get(), r.deadline if r else None) if b is not None]
        now = time.monotonic()
        if timeout is not None or not bounds:
            bounds.append(now + (DEFAULT_TIMEOUT if timeout is None else timeout))
        return min(*bounds, now + _LONGEST)

    async def ask(self, target: Target, command: str, args: Sequence[Any], kwargs: Optional[Mapping[str, Any]],
                  timeout: Optional[float]) -> Any:
        address = _address(target)
        r = self._inside()
        left = self._until(r, timeout) - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("its time was up before it was sent", started=False, target=address, command=command)
        if r and address and address in self.ref:
            return await self._ask_self(r, command, list(args), dict(kwargs or {}), left)
        m: Dict[str, Any] = {"command": command, "target": address, "timeout": max(1, math.ceil(left * 1000))}
        if args:
            m["args"] = list(args)
        if kwargs:
            m["kwargs"] = dict(kwargs)
        if r and r._whole._ack is not None:
            m["parent"] = r._whole._ack
        return await self._wait(m, r and r._whole, address, command, left)

    async def _wait(self, m: Dict[str, Any], r: Optional[Request], target: str, command: str, left: float) -> Any:
        """Sends m, with an ack, and waits for the callback. An interleaved handler gives up its turn meanwhile."""
        ack = m["ack"] = m.get("ack") or self._ack()
        done: "asyncio.Future[Any]" = self.loop.create_future()
        try:
            self.post(m)
        except ArbiterError as e:
            e.target, e.command = target, command
            raise
        self.calls[ack] = done, target, command
        # The arbiter's word at the deadline says more than ours: it has a little longer.
        timer = self.loop.call_later(left + 0.04, self._late, ack)
        if self.actor.mode != "interleaved":
            r = None
        if r:
            r._calls += 1
            if not r._away:
                r._away = True
                self._release()
        try:
            await self._room.wait()
            return await done
        except asyncio.CancelledError:
            if self.calls.pop(ack, None):
                self._post({"command": "cancel", "ack": ack})
            raise
        finally:
            timer.cancel()
            if r:
                r._calls -= 1
                await self._retake(r)

    def _late(self, ack: str) -> None:
        done, target, command = self.calls.pop(ack, (None, "", ""))
        if done and not done.done():
            done.set_exception(DeadlineExceeded("its time was up", target=target, command=command))

    async def _ask_self(self, outer: Request, command: str, args: List[Any], kwargs: Dict[str, Any], left: float) -> Any:
        """A call to oneself is answered in place, as part of the handler that makes it, and ends as any other."""
        names = {"target": self.ref.address, "command": command}
        c = self.actor.commands.get(command)
        if c is None:
            raise UnknownCommand(f'the kind "{self.actor.kind}" has no command "{command}"', started=False, **names)
        try:
            args, kwargs = c.bind(args, kwargs)
        except Invalid as e:
            raise Invalid(e.message, started=False, **names) from None
        r = outer._within(command, left)
        t = self._task(self._in_self(r, c, args, kwargs))
        try:
            await asyncio.wait({t}, timeout=left)
        except asyncio.CancelledError:
            r._over = r.over or "canceled"
            await self._ended(t)
            raise
        if not t.done():
            r._over = "deadline"
            await self._ended(t)
            raise DeadlineExceeded("its time was up", started=True, **names)
        if t.cancelled():
            raise Canceled("the handler gave up", started=True, **names)
        result, e = t.result()
        if isinstance(e, _EXITS):
            raise e
        if e is not None and c.ack:
            answer = _as_answer(e)
            raise AppError(answer.message, app=answer.app, started=True, **names) from e
        if e is not None:
            log.error("the handler of %r failed", command, exc_info=e)
        return result if c.ack else None

    async def _in_self(self, r: Request, c: _Command, args: List[Any], kwargs: Dict[str, Any]) -> Tuple[Any, Optional[BaseException]]:
        _request.set(r)
        try:
            return (c.f(*args, **kwargs) if c.in_place else await self._invoke(c, args, kwargs)), None
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as e:
            return None, e

    async def _ended(self, t: "asyncio.Task[Any]") -> None:
        """Cancels t, and returns when it has ended: it is a part of a turn."""
        t.cancel()
        await asyncio.wait({t})

    async def send(self, target: Target, command: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        address = _address(target)
        m: Dict[str, Any] = {"command": command, "target": address}
        if args:
            m["args"] = list(args)
        if kwargs:
            m["kwargs"] = dict(kwargs)
        self.post(m)
        await self._room.wait()

    async def watch(self, target: Target) -> Watch:
        address = _address(target)
        w = Watch(self, self._ack(), address)
        self.watches[w._ack] = w  # before the answer: the end may follow it at once
        try:
            await self._wait({"command": "watch", "actor": address, "ack": w._ack}, None, address, "watch", DEFAULT_TIMEOUT)
        except BaseException:
            w.stop()
            raise
        return w

    # Signs of life

    async def _beats(self) -> None:
        last = time.monotonic()
        while self._lost is None:
            await asyncio.sleep(self._beat)
            now = time.monotonic()
            if now - last > 2 * self._beat:
                self._heard = now  # this program was stopped, or starved: nobody else's fault
            last = now
            if now - self._heard > self._silence and not self._local:
                self._close(f"the arbiter was silent for {now - self._heard:.1f} s")
            elif not self.only_calls and self.state != "starting":
                self._notify()

    def _notify(self) -> None:
        info = self._status(1e3)
        extra = self._extra()
        if extra:
            info["extra"] = extra
        try:
            self._post({"command": "notify", "info": info})
        except ArbiterError as e:
            log.error("what the info hook says cannot be told: %s", e)
            info.pop("extra", None)
            self._post({"command": "notify", "info": info})

    def _status(self, unit: float) -> Dict[str, Any]:
        """What the actor is at; times in 1/unit seconds."""
        now = time.monotonic()
        s: Dict[str, Any] = {"inbox": len(self._inbox), **self._counts, "cpu": round(time.process_time() * unit)}
        if self._working:
            r = next(iter(self._working))
            s["handling"], s["since"] = r.command, round((now - r._began) * unit)
        if self._inbox:
            s["oldest"] = round((now - self._inbox[0][0]._came) * unit)
        rss = _rss()
        if rss:
            s["rss"] = rss
        return s

    def _extra(self) -> Dict[str, Any]:
        hook = self.actor.hooks.get("info")
        try:
            return dict(hook()) if hook else {}
        except _EXITS:
            raise
        except BaseException as e:
            log.error("the info hook failed", exc_info=True)
            return {"error": _failure(e)}

    def info(self) -> Dict[str, Any]:
        """As actor.Info in Go: durations are nanoseconds."""
        m = {"aid": self.ref.aid, "name": self.ref.name, "kind": self.actor.kind, "state": self.state, "mode": self.actor.mode,
             "pid": os.getpid(), "language": "python %d.%d.%d" % sys.version_info[:3],
             "uptime": round((time.monotonic() - self._born) * 1e9), "inFlight": len(self._inbox) + len(self._working), **self._status(1e9)}
        extra = self._extra()
        return {**m, "extra": extra} if extra else m

    # The end

    def stop(self, reason: str) -> None:
        if self.state in ("stopping", "closed"):
            return
        self.state, self._stopped = "stopping", reason
        self._wind(self._grace, Death("stopped", reason))

    def _abandon(self, why: str) -> None:
        """Nobody is left to hear it: what runs is canceled, what waits dropped, and the stop hook has a moment."""
        self._inbox.clear()
        self._bytes = 0
        for r in list(self._working):
            self._unwanted(r, "closed")
        self._look_idle()
        self.state, self._stopped = "stopping", why
        self._wind(LOST_GRACE, Death("connection", why))

    def _wind(self, grace: float, death: Death) -> None:
        t = self._task(self._wind_down(grace, death))
        t.add_done_callback(lambda t: self._end(death) if t.cancelled() else None)  # with all tasks, where the program ends

    async def _wind_down(self, grace: float, death: Death) -> None:
        """Handles what was accepted, runs the stop hook, and ends."""
        failed: Optional[BaseException] = None
        try:
            failed = await asyncio.wait_for(self._last_things(), grace)
        except asyncio.TimeoutError:
            if self._lost is None:
                death = Death("hung", f"it was asked to stop and had not after {grace:g} s")
        except asyncio.CancelledError as e:  # what the hook waited for was canceled
            if self.state == "closed":
                raise
            failed = e
        if failed:
            log.error("the stop hook failed", exc_info=failed)
            death = Death("panic", f"the stop hook: {_failure(failed)}")
        self._end(death)

    async def _last_things(self) -> Optional[BaseException]:
        """Returns how the stop hook failed: a TimeoutError of its own is not the end of its time."""
        self._pump()
        self._look_idle()
        await self._idle.wait()
        hook = self.actor.hooks.get("stop")
        try:
            if hook:
                await self._hook(hook)
        except (asyncio.CancelledError, *_EXITS):
            raise
        except BaseException as e:
            return e
        return None

    def _end(self, death: Death) -> None:
        if self.state == "closed":
            return
        self.state = "closed"
        for r in list(self._working):
            self._unwanted(r, "closed")
        if not self.ended.done():
            self._task(self._leave(death)).add_done_callback(lambda _: self._left(death))

    def _left(self, death: Death) -> None:
        self._part(death)  # where it was canceled before it had
        if self._transport:
            self._transport.abort()
        if not self.ended.done():
            self.ended.set_result(death)

    def _part(self, death: Death) -> None:
        if not self._parted and self._lost is None:
            self._parted = True
            self._post({"command": "goodbye", "death": death.image()})
            self._write(close_frame(1000, death.cause))

    def _unwritten(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport else 0

    async def _leave(self, death: Death) -> None:
        """Says goodbye, behind the last answers, and waits until the other end has hung up: as long as they get on their way, and for
        a moment then."""
        self._part(death)
        if self._lost is None:
            unwritten = self._unwritten()
            while not self._gone.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._gone.wait(), LEAVE_GRACE if unwritten else LOST_GRACE)
                left, unwritten = unwritten, self._unwritten()
                if unwritten >= left:
                    break
        self._close("the actor has ended")
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._gone.wait(), LOST_GRACE)


def _as_answer(e: BaseException) -> ArbiterError:
    """What a handler raised, as its caller is told: always "app". The error of a call it made leaves its code as the app's own."""
    if isinstance(e, ArbiterError):
        return AppError(_said(e), app=e.app if e.code == "app" else e.code, started=True)
    return AppError(_said(e) or type(e).__name__, app=type(e).__name__, started=True)


def _rss() -> int:
    """Bytes resident; 0 where that is not known."""
    try:
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0

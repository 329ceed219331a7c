"""Unit tests of arbiter.py: python3 -m unittest, in this directory. The dialogues and cases of sdk/conformance are the rest."""

import asyncio
import datetime
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid
from typing import Any, Dict, List, Optional, Union

import arbiter

DATA = pathlib.Path(__file__).parent.parent / "conformance" / "testdata"


def golden(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


class Frames(unittest.TestCase):
    def cases(self):
        for c in golden("frames.json"):
            fill = c.get("fill", 0)
            data = bytes.fromhex(c["hex"]) + b"x" * fill
            frames = [(op, b"x" * int(text[1:]) if text[:1] == "*" else text.encode("latin1")) for op, text in c["frames"]]
            yield c, data, frames

    def read(self, chunks) -> tuple:
        reader, got = arbiter.FrameReader(), []
        try:
            for chunk in chunks:
                got.extend(reader.feed(chunk))
        except arbiter.Violation as e:
            return got, e.code
        return got, None

    def test_golden(self):
        for c, data, frames in self.cases():
            with self.subTest(c["name"]):
                got, refused = self.read([data])
                self.assertEqual(refused, c.get("refused"))
                if refused is None:
                    self.assertEqual(got, frames)

    def test_golden_byte_by_byte(self):
        for c, data, frames in self.cases():
            if len(data) > 70000:
                continue
            with self.subTest(c["name"]):
                got, refused = self.read(bytes([b]) for b in data)
                self.assertEqual((got, refused), (frames, c.get("refused")))

    def test_written(self):
        for c, data, frames in self.cases():
            if c.get("written"):
                with self.subTest(c["name"]):
                    self.assertEqual(b"".join(arbiter.frame(op, p) for op, p in frames), data)

    def test_fragments_do_not_exceed_the_limit(self):
        reader = arbiter.FrameReader(limit=10)
        self.assertEqual(list(reader.feed(b"\x01\x0512345" + b"\x80\x0567890")), [(1, b"1234567890")])
        with self.assertRaises(arbiter.Violation) as e:
            list(reader.feed(b"\x01\x0512345" + b"\x80\x06678901"))
        self.assertEqual(e.exception.code, 1009)

    def test_close_reason_is_cut_between_characters(self):
        f = arbiter.close_frame(1002, "é" * 200)
        self.assertLessEqual(len(f), 127)
        self.assertEqual(f[4:].decode(), "é" * 61)


class Values(unittest.TestCase):
    def test_same(self):
        for text in golden("values.json")["same"]:
            with self.subTest(text):
                self.assertEqual(arbiter.dumps(arbiter.loads(text)), text)

    def test_moments(self):
        for text, ms in golden("values.json")["moments"].items():
            with self.subTest(text):
                t = arbiter.loads(text)
                self.assertEqual(int(t.timestamp() * 1000 // 1), ms)
                self.assertEqual(arbiter.loads(arbiter.dumps(t)), t)

    def test_malformed(self):
        for text in golden("values.json")["malformed"]:
            with self.subTest(text), self.assertRaises(ValueError):
                arbiter.loads(text)

    def test_invalid(self):
        for text in golden("values.json")["invalid"]:
            with self.subTest(text), self.assertRaises(arbiter.Invalid):
                arbiter.loads(text)

    def test_types(self):
        for v in (b"\0\xff", {1, "a"}, frozenset([1]), {1: {2: b"3"}}, {"$x": 1}, {b"k": 3}, uuid.uuid4(), 10**9000, -(10**9000),
                  datetime.datetime(2026, 11, 26, 10, 0, 0, 123456, datetime.timezone(datetime.timedelta(hours=-3)))):
            with self.subTest(type(v).__name__):
                self.assertEqual(arbiter.loads(arbiter.dumps(v)), v)
        self.assertEqual(arbiter.dumps(arbiter.Ref("a-1", "a")), '{"aid":"a-1","name":"a"}')
        self.assertEqual(arbiter.dumps((1, bytearray(b"x"))), '[1,{"$bytes":"eA=="}]')

    def test_no_image_names_the_place(self):
        ring: List[Any] = []
        ring.append(ring)
        for v, place in (({"a": [1, {"b": object()}]}, "a[1].b"), ("\ud800", "the value"), ([datetime.datetime(2026, 1, 1)], "[0]"),
                         ({1: {2: lambda: 0}}, "[0][1][0][1]"), (ring, "deep"), (1j, "complex"), ([{(1, 2): 3}], "[0]")):
            with self.assertRaises(arbiter.NotEncodable) as e:
                arbiter.dumps(v)
            self.assertIn(place, str(e.exception))

    def test_depth(self):
        for begin, end in (("[", "]"), ('{"a":', "}"), ('{"$map":[[1,', "]]}")):
            deep = begin * 1000 + '"\\ud83d\\ude00"' + end * 1000
            v = arbiter.loads('{"command":"callback","result":%s}' % deep)["result"]
            self.assertEqual(arbiter.dumps(v), deep.replace("\\ud83d\\ude00", "\U0001f600"))
            for more in ([v], {1: v}):
                with self.assertRaises(arbiter.NotEncodable):
                    arbiter.dumps(more)
        deeper: Any = 0
        for _ in range(1000):
            deeper = frozenset([deeper])
        self.assertEqual(arbiter.dumps(deeper), '{"$set":[' * 1000 + "0" + "]}" * 1000)
        with self.assertRaises(arbiter.NotEncodable):
            arbiter.dumps({deeper})


class Arguments(unittest.TestCase):
    def command(self, f) -> Any:
        return arbiter._Command(f, "f", "", True)

    def refused(self, f, args, kwargs, text) -> None:
        with self.assertRaises(arbiter.Invalid) as e:
            self.command(f).bind(args, kwargs)
        self.assertIn(text, str(e.exception))

    def test_fit(self):
        async def f(a: int, b: Optional[str] = None, *rest: float, c: bytes = b"", d: Union[int, list] = 0, **more: bool) -> None: ...

        for args, kwargs in (([1], {}), ([1, None], None), ([1, "x", 2, 2.5], {"c": b"y", "d": [1], "e": True}), ([], {"a": 1})):
            self.assertEqual(self.command(f).bind(args, kwargs), (args, kwargs or {}))
        self.refused(f, [], {}, '"a" is missing')
        self.refused(f, [True], {}, 'argument "a": want int')
        self.refused(f, ["1"], {}, "got text '1'")
        self.refused(f, [1, 2], {}, 'argument "b"')
        self.refused(f, [1, "x", "y"], {}, 'argument "rest"')
        self.refused(f, [1], {"c": "y"}, 'argument "c": want bytes, got text')
        self.refused(f, [1], {"a": 1}, '"a" is given twice')
        self.refused(f, [1], {"e": 1}, 'argument "more"')
        self.refused(f, 1, {}, "args is a list")

    def test_names(self):
        async def f(width: int, height: int = 0) -> None: ...

        self.refused(f, [1, 2, 3], {}, "3 positional arguments, and it takes at most 2: width, height")
        self.refused(f, [1], {"hieght": 1}, 'no argument is called "hieght"; did you mean "height"?')
        self.refused(lambda: 0, [1], {}, "it takes none")
        self.assertEqual(arbiter._did_you_mean("a" * 199 + "b", ["a" * 200]), "")

    def test_containers(self):
        async def f(a: List[int] = [], b: Dict[str, float] = {}) -> None: ...

        self.assertEqual(self.command(f).bind([[1], {"x": 2}], {}), ([[1], {"x": 2}], {}))
        self.refused(f, [[1, "2"]], {}, 'argument "a"')
        self.refused(f, [[], {"x": "y"}], {}, 'argument "b"')

    def test_lone_map(self):
        async def f(a: int, b: int = 0) -> None: ...

        self.assertEqual(self.command(f).bind([{"a": 1, "b": 2}], {}), ([], {"a": 1, "b": 2}))
        self.refused(f, [{"a": 1, "c": 2}], {}, 'argument "a"')


    def test_refs(self):
        ref, image = arbiter.Ref("a-1", "a"), {"aid": "a-1", "name": "a"}

        async def f(one: arbiter.Ref, maybe: Optional[arbiter.Ref] = None, many: List[arbiter.Ref] = [], by: Dict[str, arbiter.Ref] = {},
                    either: Union[str, arbiter.Ref] = "", raw: dict = {}, *rest: arbiter.Ref, **more: arbiter.Ref) -> None: ...

        args, kwargs = self.command(f).bind([image, image, [image, ref], {"x": image}, image, image, image], {"more": image})
        self.assertEqual((args, kwargs), ([ref, ref, [ref, ref], {"x": ref}, ref, image, ref], {"more": ref}))
        self.assertEqual({type(v) for v in (args[0], args[1], args[2][0], args[3]["x"], args[4], args[6], kwargs["more"])}, {arbiter.Ref})
        self.assertEqual(self.command(f).bind([ref, None, [], {}, "a"], {}), ([ref, None, [], {}, "a"], {}))
        self.assertEqual(self.command(f).bind([{"aid": "a-1"}], {"maybe": {"name": "a"}}), ([arbiter.Ref("a-1")], {"maybe": arbiter.Ref(name="a")}))
        self.assertEqual(self.command(f).bind([{"one": image}], {}), ([], {"one": ref}))  # the struct of a typed command of Go
        for v in ({"aid": 5}, {"who": "a"}, "a", None):
            self.refused(f, [v], {}, 'argument "one": want Ref')
        self.refused(f, [ref, None, [ref, {}]], {}, 'argument "many"')


class Peer:
    """The arbiter's end of a connection, in a thread of the test."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.reader, self.frames = sock, arbiter.FrameReader(), []
        sock.settimeout(20)

    def next(self) -> Optional[Dict[str, Any]]:
        while True:
            while self.frames:
                op, payload = self.frames.pop(0)
                if op == arbiter.TEXT:
                    m = json.loads(payload)
                    if m["command"] != "notify":
                        return m
                if op == arbiter.CLOSE:
                    return None
            data = self.sock.recv(65536)
            if not data:
                return None
            self.frames.extend(self.reader.feed(data))

    def say(self, **m: Any) -> None:
        self.sock.sendall(arbiter.frame(arbiter.TEXT, json.dumps(m).encode()))

    def welcome(self, **more: Any) -> Dict[str, Any]:
        hello = self.next()
        self.say(command="welcome", version=1, aid="me-1", name="", arbiter="test", **more)
        return hello


class Talks(unittest.IsolatedAsyncioTestCase):
    """Has an actor, or who only calls, talk with a peer."""

    async def asyncSetUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, "s")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(20)
        self.addCleanup(self.dir.cleanup)
        self.addCleanup(self.listener.close)

    def peer(self, talk) -> "asyncio.Future[Any]":
        def run() -> Any:
            sock, _ = self.listener.accept()
            with sock:
                return talk(Peer(sock))

        return asyncio.get_running_loop().run_in_executor(None, run)

    async def connected(self, talk, then) -> Any:
        peer = self.peer(talk)
        async with arbiter.connect(f"unix:{self.path}", token="secret") as me:
            result = await then(me)
        await peer
        return result

    async def served(self, actor: arbiter.Actor, talk) -> arbiter.Death:
        peer = self.peer(talk)
        death = await asyncio.wait_for(actor.serve(f"unix:{self.path}", signals=False), 60)
        await peer
        return death


class Lives(Talks):
    """The client's side, against a peer that misbehaves: every call ends."""

    async def test_a_client_says_so(self):
        hellos = []

        def talk(p: Peer) -> None:
            hellos.append(p.welcome())
            m = p.next()
            p.say(command="callback", ack=m["ack"], result=m["args"])
            self.assertEqual(p.next()["command"], "goodbye")

        self.assertEqual(await self.connected(talk, lambda me: me.call("tally", "add", 1, b=2)), [1])
        self.assertEqual((hellos[0]["calls"], hellos[0]["token"], "commands" in hellos[0]), (True, "secret", False))

    async def test_nobody_answers(self):
        def talk(p: Peer) -> None:
            p.welcome()
            while p.next():
                pass

        async def then(me) -> None:
            began = time.monotonic()
            with self.assertRaises(arbiter.DeadlineExceeded):
                await me.ask("tally", "add", timeout=0.1)
            with self.assertRaises(arbiter.DeadlineExceeded), arbiter.deadline(0.1):
                await me.call("tally", "add")
            with self.assertRaises(arbiter.DeadlineExceeded) as e, arbiter.deadline(0):
                await me.call("tally", "add")
            self.assertIs(e.exception.started, False)
            self.assertLess(time.monotonic() - began, 15)

        await self.connected(talk, then)

    async def test_times_without_end(self):
        def talk(p: Peer) -> None:
            p.welcome()
            for m in iter(p.next, None):
                if "ack" not in m:
                    return
                p.say(command="callback", ack=m["ack"], result=m["timeout"])

        async def then(me) -> None:
            for timeout in (float("inf"), 1e12):
                self.assertEqual(await me.ask("tally", "add", timeout=timeout), 2**32 - 1)
            with arbiter.deadline(float("inf")):
                self.assertEqual(await me.call("tally", "add"), 2**32 - 1)

        await self.connected(talk, then)

    async def test_targets(self):
        targets = {"tally": "tally", arbiter.Ref("a-1", "a"): "a-1", arbiter.Ref(name="a"): "a"}
        seen = []

        def talk(p: Peer) -> None:
            p.welcome()
            for m in iter(p.next, None):
                seen.append((m["command"], m.get("target") or m.get("actor")))
                if "ack" in m:
                    p.say(command="callback", ack=m["ack"], result={"aid": "a-2", "name": "b"})
                if m["command"] == "goodbye":
                    return

        async def then(me) -> None:
            for target, address in targets.items():
                for t in (target, json.loads(arbiter.dumps(target))):  # as it is, and as it arrives
                    seen.clear()
                    who = await me.call(t, "friend")
                    await me.send(t, "greet")
                    await me.watch(t)
                    await me.call(who, "greet")
                    self.assertEqual(seen, [("friend", address), ("greet", address), ("watch", address), ("greet", "a-2")])
            for none in (None, 5, {}, {"aid": 5}, ["a"]):
                with self.assertRaises(TypeError):
                    await me.call(none, "greet")

        await self.connected(talk, then)

    async def test_the_arbiter_is_gone(self):
        def talk(p: Peer) -> None:
            p.welcome()
            p.next()

        async def then(me) -> None:
            with self.assertRaises(arbiter.Closed):
                await me.call("tally", "add")
            with self.assertRaises(arbiter.Closed) as e:
                await me.call("tally", "add")
            self.assertIs(e.exception.started, False)
            with self.assertRaises(arbiter.Closed):
                await me.send("tally", "add")

        await self.connected(talk, then)

    async def test_a_canceled_task_tells(self):
        seen = []

        def talk(p: Peer) -> None:
            p.welcome()
            seen.extend([p.next(), p.next()])
            p.say(command="callback", ack=seen[0]["ack"], result="late")
            m = p.next()
            p.say(command="callback", ack=m["ack"], result="in time")

        async def then(me) -> None:
            t = asyncio.create_task(me.call("tally", "add"))
            while not me.life.calls:
                await asyncio.sleep(0)
            t.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await t
            self.assertEqual(await me.call("tally", "add"), "in time")

        await self.connected(talk, then)
        self.assertEqual(seen[1], {"command": "cancel", "ack": seen[0]["ack"]})

    async def test_errors_by_class(self):
        def talk(p: Peer) -> None:
            p.welcome()
            for error in ({"code": "down", "message": "exited", "started": True, "death": {"cause": "exit", "code": 3, "stderr": ["x"]}},
                          {"code": "cycle", "message": "never", "path": ["a", "b"]}, {"code": "brand_new", "message": "?"},
                          {"code": "app", "app": "no_rows", "message": "none"}):
                p.say(command="callback", ack=p.next()["ack"], error=error)
            p.say(command="callback", ack=p.next()["ack"], result={"$new": 1})

        async def then(me) -> None:
            with self.assertRaises(arbiter.TargetDown) as e:
                await me.call("tally", "add")
            self.assertEqual((e.exception.death.cause, e.exception.death.code, e.exception.death.stderr), ("exit", 3, ("x",)))
            self.assertEqual(str(e.exception), 'call add on "tally": exited')
            with self.assertRaises(arbiter.Cycle) as e:
                await me.call("tally", "add")
            self.assertEqual(e.exception.path, ["a", "b"])
            with self.assertRaises(arbiter.ArbiterError) as e:
                await me.call("tally", "add")
            self.assertEqual(e.exception.code, "brand_new")
            with self.assertRaises(arbiter.AppError) as e:
                await me.call("tally", "add")
            self.assertEqual(e.exception.app, "no_rows")
            with self.assertRaises(arbiter.Invalid):
                await me.call("tally", "add")

        await self.connected(talk, then)

    async def test_refused(self):
        def talk(p: Peer) -> None:
            p.next()
            p.say(command="error", error={"code": "refused", "message": "a wrong token"})

        peer = self.peer(talk)
        with self.assertRaises(arbiter.Refused):
            await arbiter.Actor("x").serve(f"unix:{self.path}", signals=False)
        await peer
        with self.assertRaises(arbiter.Closed):
            await arbiter.Actor("x").serve("unix:/nowhere/at/all", signals=False)

    async def test_plain_handlers_run_in_threads(self):
        actor, threads = arbiter.Actor("x"), []

        @actor.command
        def work(n: int) -> int:
            threads.append(threading.get_ident())
            self.assertEqual(arbiter.current().command, "work")
            return actor.sync.call("tally", "double", n)

        asked = {}

        def talk(p: Peer) -> None:
            p.welcome()
            p.say(command="work", target="me-1", args=[21], ack="7", timeout=20000)
            asked.update(p.next())
            p.say(command="ping", target="me-1", ack="8")  # while the handler waits in its thread
            self.assertEqual(p.next(), {"command": "callback", "ack": "8", "result": "pong"})
            p.say(command="callback", ack=asked["ack"], result=42)
            self.assertEqual(p.next(), {"command": "callback", "ack": "7", "result": 42})
            p.say(command="stop", reason="enough")
            while p.next():
                pass

        self.assertEqual(await self.served(actor, talk), arbiter.Death("stopped", "enough"))
        self.assertNotEqual(threads, [threading.get_ident()])
        self.assertEqual((asked["parent"], asked["timeout"] <= 20000), ("7", True))

    async def test_arguments_of_any_name(self):
        names = {"self": 1, "target": 2, "command": 3, "f": 4, "args": 5, "kwargs": 6, "timeout": 7}
        actor = arbiter.Actor("x")

        @actor.command
        def from_a_thread() -> None:
            actor.sync.send("log", "line", **names)
            actor.sync.call("tally", "add", **names)

        @actor.command
        async def from_the_loop() -> None:
            await actor.send("log", "line", **names)
            await actor.call("tally", "add", **names)

        def talk(p: Peer) -> None:
            p.welcome()
            for command in ("from_a_thread", "from_the_loop"):
                p.say(command=command, target="me-1", ack="1")
                sent, called = p.next(), p.next()
                self.assertEqual((sent["target"], sent["kwargs"], called["target"], called["kwargs"]), ("log", names, "tally", names))
                p.say(command="callback", ack=called["ack"])
                self.assertEqual(p.next()["ack"], "1")
            p.say(command="stop")
            while p.next():
                pass

        await self.served(actor, talk)

    async def test_a_thread_keeps_its_turn_beyond_its_deadline(self):
        actor, go, order = arbiter.Actor("x"), threading.Event(), []

        @actor.command
        def wait() -> None:
            go.wait(20)
            order.append(arbiter.current().over)

        @actor.command
        async def after() -> None:
            order.append("after")

        def talk(p: Peer) -> None:
            p.welcome()
            p.say(command="wait", target="me-1", ack="1", timeout=50)
            p.say(command="after", target="me-1", ack="2")
            self.assertEqual(p.next()["error"]["code"], "deadline")
            go.set()
            self.assertEqual(p.next(), {"command": "callback", "ack": "2", "result": None})
            p.say(command="stop")
            while p.next():
                pass

        await self.served(actor, talk)
        self.assertEqual(order, ["deadline", "after"])

    async def test_a_start_that_fails(self):
        actor = arbiter.Actor("x")

        @actor.on_start
        async def start() -> None:
            raise ValueError("no paper")

        said = []

        def talk(p: Peer) -> None:
            p.welcome()
            said.append(p.next())

        with self.assertLogs("arbiter"):
            death = await self.served(actor, talk)
        self.assertEqual(death, arbiter.Death("start", "ValueError: no paper"))
        self.assertEqual(said, [{"command": "goodbye", "death": {"cause": "start", "reason": "ValueError: no paper"}}])

    async def test_a_result_without_an_image(self):
        actor = arbiter.Actor("x")

        @actor.command
        async def odd() -> Any:
            return {"when": [object()]}

        def talk(p: Peer) -> None:
            p.welcome()
            p.say(command="odd", target="me-1", ack="1")
            e = p.next()["error"]
            self.assertEqual((e["code"], e["started"], "result.when[0]" in e["message"]), ("not_encodable", True, True))
            p.say(command="stop")
            while p.next():
                pass

        await self.served(actor, talk)


class Programs(unittest.TestCase):
    def run_program(self, text: str, **env: str) -> subprocess.CompletedProcess:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ARBITER_")}
        return subprocess.run([sys.executable, "-c", text], cwd=pathlib.Path(__file__).parent, env={**clean, **env}, capture_output=True,
                              text=True, timeout=60)

    def test_no_arbiter(self):
        p = self.run_program("import arbiter; arbiter.Actor('x').run()")
        self.assertEqual((p.returncode, p.stdout), (2, ""))
        self.assertRegex(p.stderr, "there is no arbiter to join.*arbiter run --messages -- ")

    def test_cannot_join(self):
        p = self.run_program("import arbiter; arbiter.Actor('x').run()", ARBITER_ADDR="unix:/nowhere/at/all")
        self.assertEqual((p.returncode, p.stdout), (1, ""))

    def test_inherited(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        text = "import arbiter, os; a = arbiter.Actor('x')\n@a.command\nasync def env(): return os.environ.get('ARBITER_FD')\na.run()"
        with theirs:
            p = subprocess.Popen([sys.executable, "-c", text], cwd=pathlib.Path(__file__).parent, pass_fds=[theirs.fileno()],
                                 env={**os.environ, "ARBITER_FD": str(theirs.fileno())})
        peer = Peer(ours)
        self.assertNotIn("token", peer.welcome())
        peer.say(command="env", target="me-1", ack="1")
        self.assertEqual(peer.next()["result"], None)
        peer.say(command="stop")
        self.assertEqual(peer.next()["command"], "goodbye")
        ours.close()
        self.assertEqual(p.wait(60), 0)

    def test_a_handler_that_exits(self):
        for define in ("async def", "def"):
            for command in ("leave", "leave_by_a_call"):
                with self.subTest(define=define, command=command):
                    self.exits(define, command)

    def exits(self, define: str, command: str) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        text = ("import arbiter, sys; a = arbiter.Actor('x')\n@a.command\n%s leave(): sys.exit(7)\n"
                "@a.command\nasync def leave_by_a_call(): await a.call(a.ref, 'leave')\na.run()" % define)
        with theirs:
            p = subprocess.Popen([sys.executable, "-c", text], cwd=pathlib.Path(__file__).parent, pass_fds=[theirs.fileno()],
                                 stderr=subprocess.PIPE, text=True, env={**os.environ, "ARBITER_FD": str(theirs.fileno())})
        peer = Peer(ours)
        peer.welcome()
        for n in range(3):  # what waits behind the first one is not begun any more
            peer.say(command=command, target="me-1", ack=str(n))
        self.assertIsNone(peer.next())
        self.assertEqual((p.communicate(timeout=60)[1], p.returncode), ("", 7))

    def test_the_connection_lasts_as_long_as_the_program(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        text = """
import arbiter, asyncio, atexit, gc, sys
a = arbiter.Actor('x')
@a.command
async def leave(): sys.exit(7)
@atexit.register
def end():  # takes away what the end of Python takes away
    global a
    a = asyncio.set_event_loop(None)
    gc.collect()
    print('ending', flush=True)
    sys.stdin.read()
a.run()"""
        with theirs:
            p = subprocess.Popen([sys.executable, "-c", text], cwd=pathlib.Path(__file__).parent, pass_fds=[theirs.fileno()],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "ARBITER_FD": str(theirs.fileno())})
        peer = Peer(ours)
        peer.welcome()
        peer.say(command="leave", target="me-1", ack="1")
        with p.stdin, p.stdout:
            self.assertEqual(p.stdout.readline(), b"ending\n")
            ours.setblocking(False)
            with self.assertRaises(BlockingIOError):
                while ours.recv(1 << 16):  # heartbeats there may be
                    pass
        ours.setblocking(True)
        self.assertIsNone(peer.next())
        self.assertEqual(p.wait(60), 7)


if __name__ == "__main__":
    unittest.main()

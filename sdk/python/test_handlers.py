"""Unit tests of arbiter.py: whatever a handler does is answered, and its actor lives on."""

import asyncio
import queue
import time
import typing
import unittest
from typing import Any, Dict, List, Optional, Tuple

import arbiter
from test_arbiter import Peer, Talks


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Base(BaseException):
    pass


class Options(typing.TypedDict):
    a: int


class Sized(typing.Protocol):
    def size(self) -> int: ...


class Changing(dict):
    """A dict that is never at rest, as one that a thread writes to may be."""

    def items(self) -> Any:
        for n, item in enumerate(list(super().items())):
            self[f"new {n}"] = n
            yield item
        raise RuntimeError("dictionary changed size during iteration")


def finish(p: Peer) -> None:
    p.say(command="stop")
    while p.next():
        pass


class Handlers(Talks):
    async def answers(self, actor: arbiter.Actor, *asked: Tuple[str, Any, Dict[str, Any]]) -> None:
        """Asks for each command, with its arguments, and wants its answer to have what is said."""
        def talk(p: Peer) -> None:
            p.welcome()
            for command, args, want in asked:
                with self.subTest(command):
                    p.say(command=command, target="me-1", args=args, ack="1", timeout=20000)
                    m = p.next()
                    got = m if m is None or "result" in m else m["error"]
                    self.assertEqual({k: got.get(k) for k in want}, want, got)
            finish(p)

        self.assertEqual((await self.served(actor, talk)).cause, "stopped")

    async def test_whatever_is_raised_is_answered(self):
        actor = arbiter.Actor("x")

        def raises(name: str, e: Any) -> None:
            async def f() -> None:
                raise e

            def g() -> None:
                raise e

            actor.command(f, name=name)
            actor.command(g, name=name + ", in a thread")

        raised = {
            "no words": (Unspeakable(), {"app": "Unspeakable", "message": "Unspeakable"}),
            "no Exception": (Base("deep"), {"app": "Base", "message": "deep"}),
            "an error as the message": (arbiter.AppError(ValueError("inner")), {"app": "", "message": "inner"}),
            "no words as the message": (arbiter.AppError(Unspeakable()), {"app": "", "message": "app"}),
            "a code that is a number": (arbiter.AppError("not there", app=404), {"app": "404", "message": "not there"}),
            "a name of a file": (OSError("caf\udce9"), {"app": "OSError", "message": "caf\\udce9"}),
            "much to say": (ValueError("x" * 100000), {"app": "ValueError", "message": "x" * 8192}),
        }
        asked = []
        for name, (e, want) in raised.items():
            raises(name, e)
            want = {"code": "app", "started": True, **{k: v or None for k, v in want.items()}}
            asked += [(name, [], want), (name + ", in a thread", [], want)]
        with self.assertLogs("arbiter"):
            await self.answers(actor, *asked)

    async def test_whatever_is_returned_is_answered(self):
        actor = arbiter.Actor("x")
        results = {"changing": Changing(a=1), "complex": [1j], "bytes with gaps": memoryview(b"abcdef")[::2]}
        for name, v in results.items():
            actor.command(lambda v=v: v, name=name)
        no = {"code": "not_encodable", "started": True}
        await self.answers(actor, ("changing", [], {**no, "message": "cannot encode the value: RuntimeError: dictionary changed size during iteration"}),
                           ("complex", [], no), ("bytes with gaps", [], {"result": {"$bytes": "YWNl"}}))

    async def test_whatever_is_asked_of_its_arguments(self):
        actor = arbiter.Actor("x")

        @actor.command
        async def typed(o: Options) -> int:
            return o["a"]

        @actor.command(ack=False)
        async def untold(o: Options) -> None: ...

        @actor.command
        async def sized(o: Sized) -> str:
            return "any"

        @actor.command
        async def text(s: str) -> str:
            return s

        await self.answers(
            actor, ("typed", [{"a": 5}], {"result": 5}), ("typed", [5], {"code": "invalid", "started": False, "message": 'argument "o": want Options, got int 5'}),
            ("untold", [{"a": 5}], {"result": None}), ("untold", [5], {"code": "invalid", "started": False}), ("sized", [5], {"result": "any"}),
            ("text", [True], {"code": "invalid", "message": 'argument "s": want str, got bool True'}))
        with self.assertRaises(arbiter.Invalid) as e:  # json would not write it
            actor.commands["text"].bind([10**5000], {})
        self.assertEqual(str(e.exception), 'argument "s": want str, got int 1' + "0" * 39)

    async def test_a_refusal_with_much_to_say(self):
        actor = arbiter.Actor("x")

        @actor.command
        async def f() -> None: ...

        def talk(p: Peer) -> None:
            p.welcome(max_message=65536)
            p.say(command="f", target="me-1", kwargs={"x" * 65420: 1}, sender="who-1")
            m = p.next()
            self.assertEqual((m["command"], m["sender"], m["error"]["code"], m["error"]["started"]), ("undelivered", "who-1", "invalid", False))
            finish(p)

        self.assertEqual((await self.served(actor, talk)).cause, "stopped")


class Oneself(Talks):
    """A call to oneself ends as any other."""

    def actor(self) -> arbiter.Actor:
        actor, self.noted = arbiter.Actor("x"), queue.Queue()

        @actor.command
        async def fails(how: str) -> None:
            if how == "call":
                await actor.call("nobody", "greet")
            raise {"key": KeyError("x"), "time": asyncio.TimeoutError("its own"), "gives up": asyncio.CancelledError(), "base": Base("deep")}[how]

        @actor.command
        async def waits() -> None:
            self.noted.put("begins")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.noted.put(arbiter.current().over)

        @actor.command
        def waits_in_a_thread() -> None:
            self.noted.put("begins")
            while not arbiter.current().canceled:
                time.sleep(0.001)
            self.noted.put(arbiter.current().over)

        @actor.command(ack=False)
        async def untold(n: int) -> int:
            return 1 // n

        @actor.command
        async def who() -> List[Any]:
            r = arbiter.current()
            return [r.command, r.sender, await actor.call("tally", "add")]

        @actor.command
        async def ask(command: str, args: list = [], timeout: Optional[float] = None) -> Any:
            try:
                return [await actor.ask(actor.ref, command, args, timeout=timeout), arbiter.current().command]
            except arbiter.ArbiterError as e:
                return [e.code, e.app, e.started, e.target, e.command]

        @actor.command
        async def ask_and_give_up() -> None:
            t = asyncio.ensure_future(actor.call(actor.ref, "waits"))
            await asyncio.sleep(0)
            while self.noted.empty():
                await asyncio.sleep(0)
            t.cancel()
            await asyncio.wait({t})

        @actor.command
        def ask_in_a_thread(command: str) -> Any:
            return actor.sync.call(actor.ref, command)

        return actor

    async def asks(self, *asked: Any) -> None:
        def talk(p: Peer) -> None:
            p.welcome()
            for args, want in asked:
                with self.subTest(args):
                    p.say(command="ask", target="me-1", args=args, ack="1", sender="who-1", timeout=20000)
                    m = p.next()
                    if m.get("target") == "nobody":
                        p.say(command="callback", ack=m["ack"], error={"code": "unknown_actor", "message": "nobody there", "started": False})
                        m = p.next()
                    self.assertEqual(m.get("result", m), want)
            finish(p)

        self.assertEqual((await self.served(self.actor(), talk)).cause, "stopped")

    async def test_it_fails(self):
        def app(code: str) -> List[Any]:
            return ["app", code, True, "me-1", "fails"]

        await self.asks(
            (["fails", ["key"]], app("KeyError")), (["fails", ["time"]], app("TimeoutError")), (["fails", ["base"]], app("Base")),
            (["fails", ["call"]], app("unknown_actor")), (["fails", ["gives up"]], ["canceled", "", True, "me-1", "fails"]),
            (["fails", []], ["invalid", "", False, "me-1", "fails"]), (["fail", []], ["unknown_command", "", False, "me-1", "fail"]))

    async def test_without_acknowledgement(self):
        with self.assertLogs("arbiter"):
            await self.asks((["untold", [1]], [None, "ask"]), (["untold", [0]], [None, "ask"]),
                            (["untold", ["x"]], ["invalid", "", False, "me-1", "untold"]))

    async def test_its_time_is_up(self):
        for command in ("waits", "waits_in_a_thread"):
            await self.asks(([command, [], 0.05], ["deadline", "", True, "me-1", command]))
            self.assertEqual([self.noted.get(timeout=20) for _ in range(2)], ["begins", "deadline"])

    async def test_nobody_waits_any_more(self):
        def talk(p: Peer) -> None:
            p.welcome()
            for ask, command in (("ask", "waits"), ("ask", "waits_in_a_thread"), ("ask_in_a_thread", "waits_in_a_thread")):
                with self.subTest(ask=ask, command=command):
                    p.say(command=ask, target="me-1", args=[command], ack="1")
                    self.assertEqual(self.noted.get(timeout=20), "begins")
                    p.say(command="cancel", ack="1")
                    self.assertEqual(self.noted.get(timeout=20), "canceled")
            finish(p)

        await self.served(self.actor(), talk)

    async def test_who_asks_gives_up(self):
        def talk(p: Peer) -> None:
            p.welcome()
            p.say(command="ask_and_give_up", target="me-1", ack="1")
            self.assertEqual(p.next(), {"command": "callback", "ack": "1", "result": None})
            finish(p)

        await self.served(self.actor(), talk)
        self.assertEqual([self.noted.get(timeout=20) for _ in range(2)], ["begins", "canceled"])

    async def test_it_knows_who_asks(self):
        def talk(p: Peer) -> None:
            p.welcome()
            p.say(command="ask", target="me-1", args=["who", [], 5.0], ack="7", sender="who-1", timeout=20000)
            m = p.next()
            self.assertEqual((m["target"], m["parent"], m["timeout"] <= 5000), ("tally", "7", True))
            p.say(command="callback", ack=m["ack"], result=3)
            self.assertEqual(p.next()["result"], [["who", "me-1", 3], "ask"])
            finish(p)

        await self.served(self.actor(), talk)


async def one_and_another(actor: arbiter.Actor, gate: asyncio.Event) -> Any:
    """Makes a call, and another one once it may, while it waits for the first."""
    async def later() -> Any:
        await gate.wait()
        return await actor.call("tally", "add")

    return await asyncio.gather(actor.call("tally", "add"), later())


class Turns(Talks):
    """An interleaved actor, whose handlers make calls at the same time."""

    async def talk(self, handler, talk) -> None:
        """Has talk with an actor of one handler more, which waits for what go_on() says, and of hold, which keeps the turn likewise."""
        actor, gates = arbiter.Actor("x", mode="interleaved"), [asyncio.Event(), asyncio.Event()]
        loop = asyncio.get_running_loop()

        @actor.command
        async def hold() -> None:
            await gates[0].wait()

        @actor.command
        async def work() -> Any:
            return await handler(actor, gates[1])

        def run(p: Peer) -> None:
            p.welcome()
            talk(p, lambda which: loop.call_soon_threadsafe(gates[which == "work"].set))
            finish(p)

        self.assertEqual((await self.served(actor, run)).cause, "stopped")

    def answered(self, p: Peer, ack: str) -> None:
        self.assertEqual(p.next(), {"command": "callback", "ack": ack, "result": None})

    async def test_one_that_leaves_a_call_behind(self):
        left = []

        async def handler(actor: arbiter.Actor, gate: asyncio.Event) -> None:
            left.append(asyncio.ensure_future(actor.call("tally", "add")))
            await gate.wait()

        def talk(p: Peer, go_on) -> None:
            p.say(command="work", target="me-1", ack="1")
            m = p.next()
            p.say(command="hold", target="me-1", ack="2")
            p.say(command="callback", ack=m["ack"], result=3)
            self.assertEqual(in_place(p, "ping"), "pong")  # it wants its turn, which hold has
            go_on("work")
            self.answered(p, "1")
            go_on("hold")
            self.answered(p, "2")
            p.say(command="echo", target="me-1", args=["after"], ack="3")
            self.assertEqual(p.next()["result"], "after")

        await self.talk(handler, talk)
        self.assertEqual(await left[0], 3)

    async def test_one_that_leaves_a_call_behind_that_ends_later(self):
        left = []

        async def handler(actor: arbiter.Actor, gate: asyncio.Event) -> None:
            left.append(asyncio.ensure_future(actor.call("tally", "add")))
            await actor.call("tally", "add")

        def talk(p: Peer, go_on) -> None:
            p.say(command="work", target="me-1", ack="1")
            mine, behind = p.next(), p.next()  # what is awaited goes first
            p.say(command="callback", ack=mine["ack"], result=3)
            self.answered(p, "1")
            p.say(command="callback", ack=behind["ack"], result=4)
            p.say(command="echo", target="me-1", args=["after"], ack="3")
            self.assertEqual(p.next()["result"], "after")

        await self.talk(handler, talk)
        self.assertEqual(await left[0], 4)

    async def test_one_that_gives_up_a_call_which_wants_its_turn(self):
        async def handler(actor: arbiter.Actor, gate: asyncio.Event) -> Any:
            t = asyncio.ensure_future(actor.call("tally", "add"))
            await gate.wait()
            t.cancel()
            return await actor.call("tally", "add")

        def talk(p: Peer, go_on) -> None:
            p.say(command="work", target="me-1", ack="1")
            first = p.next()
            p.say(command="hold", target="me-1", ack="2")
            p.say(command="callback", ack=first["ack"], result=3)
            self.assertEqual(in_place(p, "ping"), "pong")
            go_on("work")
            second = p.next()
            p.say(command="echo", target="me-1", args=["next"], ack="3")
            self.assertEqual(in_place(p, "ping"), "pong")
            go_on("hold")
            self.answered(p, "2")
            self.assertEqual(p.next()["result"], "next")
            p.say(command="callback", ack=second["ack"], result=4)
            self.assertEqual(p.next()["result"], 4)

        await self.talk(handler, talk)

    async def test_one_that_makes_a_call_while_it_wants_its_turn(self):
        def talk(p: Peer, go_on) -> None:
            p.say(command="work", target="me-1", ack="1")
            first = p.next()
            p.say(command="hold", target="me-1", ack="2")
            p.say(command="callback", ack=first["ack"], result=3)
            self.assertEqual(in_place(p, "ping"), "pong")
            go_on("work")
            second = p.next()
            go_on("hold")
            self.answered(p, "2")
            p.say(command="echo", target="me-1", args=["meanwhile"], ack="3")
            self.assertEqual(p.next()["result"], "meanwhile")
            p.say(command="hold", target="me-1", ack="4")  # which waits no more
            self.answered(p, "4")
            p.say(command="callback", ack=second["ack"], result=4)
            self.assertEqual(p.next()["result"], [3, 4])

        await self.talk(one_and_another, talk)

    async def test_one_whose_calls_want_its_turn_together(self):
        def talk(p: Peer, go_on) -> None:
            p.say(command="work", target="me-1", ack="1")
            first = p.next()
            p.say(command="hold", target="me-1", ack="2")
            p.say(command="callback", ack=first["ack"], result=3)
            self.assertEqual(in_place(p, "ping"), "pong")
            go_on("work")
            p.say(command="callback", ack=p.next()["ack"], result=4)
            self.assertEqual(in_place(p, "ping"), "pong")
            go_on("hold")
            self.answered(p, "2")
            self.assertEqual(p.next()["result"], [3, 4])
            p.say(command="echo", target="me-1", args=["after"], ack="3")
            self.assertEqual(p.next()["result"], "after")

        await self.talk(one_and_another, talk)


def in_place(p: Peer, command: str) -> Any:
    p.say(command=command, target="me-1", ack="in place")
    return p.next()["result"]


class Hooks(Talks):
    async def told(self, actor: arbiter.Actor, *says: Dict[str, Any]) -> Any:
        """What the actor says at its end."""
        said = []

        def talk(p: Peer) -> None:
            p.welcome()
            for m in says:
                p.say(**m)
            said.append(p.next())

        with self.assertLogs("arbiter"):
            await self.served(actor, talk)
        self.assertEqual(said[0]["command"], "goodbye")
        return said[0]["death"]

    async def test_starts_that_fail(self):
        for e, reason in ((Base("deep"), "Base: deep"), (OSError("caf\udce9"), "OSError: caf\\udce9"), (Unspeakable(), "Unspeakable"),
                          (asyncio.CancelledError(), "CancelledError")):
            with self.subTest(reason):
                actor = arbiter.Actor("x")

                @actor.on_start
                async def start(e=e) -> None:
                    raise e

                self.assertEqual(await self.told(actor), {"cause": "start", "reason": reason})

    async def test_stops_that_fail(self):
        for e, reason in ((Base("deep"), "Base: deep"), (asyncio.TimeoutError("its own"), "TimeoutError: its own"), (Unspeakable(), "Unspeakable"),
                          (asyncio.CancelledError(), "CancelledError")):
            with self.subTest(reason):
                actor = arbiter.Actor("x")

                @actor.on_stop
                async def stop(e=e) -> None:
                    raise e

                self.assertEqual(await self.told(actor, {"command": "stop"}), {"cause": "panic", "reason": "the stop hook: " + reason})

    async def test_an_info_hook_that_fails(self):
        for e, want in ((Unspeakable(), "Unspeakable"), (Base("deep"), "Base: deep")):
            with self.subTest(want):
                actor = arbiter.Actor("x")

                @actor.on_info
                def info(e=e) -> None:
                    raise e

                def talk(p: Peer) -> None:
                    p.welcome()
                    p.say(command="info", target="me-1", ack="1")
                    self.assertEqual(p.next()["result"]["extra"], {"error": want})
                    finish(p)

                with self.assertLogs("arbiter"):
                    self.assertEqual((await self.served(actor, talk)).cause, "stopped")

    async def test_last_answers_get_their_time(self):
        actor = arbiter.Actor("x")

        @actor.command
        def large() -> str:
            return "x" * (6 << 20)

        def talk(p: Peer) -> None:
            p.welcome()
            p.say(command="large", target="me-1", ack="1")
            p.say(command="stop")
            sock = p.sock

            class Slow:
                def recv(self, n: int) -> bytes:
                    time.sleep(0.01)  # in all, twice the time that there is for who has nothing more to say
                    return sock.recv(n)

            p.sock = Slow()
            answer = p.next()
            self.assertEqual(answer and len(answer["result"]), 6 << 20)
            goodbye = p.next()
            self.assertEqual(goodbye and goodbye["command"], "goodbye")

        self.assertEqual((await self.served(actor, talk)).cause, "stopped")


if __name__ == "__main__":
    unittest.main()

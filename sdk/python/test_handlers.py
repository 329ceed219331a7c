"""Unit tests of arbiter.py: whatever a handler does is answered, and its actor lives on."""

import asyncio
import typing
import unittest
from typing import Any, Dict, Tuple

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


if __name__ == "__main__":
    unittest.main()

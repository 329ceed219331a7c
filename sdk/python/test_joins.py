"""Unit tests of arbiter.py: joining, and giving up to wait for it or for the end."""

import asyncio
import os
import threading
import unittest
from unittest import mock

import arbiter
from test_arbiter import Peer, Talks


class Joins(Talks):
    async def refused(self, **options: str) -> str:
        """Joins an arbiter that will not have it, and returns the token it came with."""
        def talk(p: Peer) -> str:
            hello = p.next()
            p.say(command="error", error={"code": "refused", "message": "too early"})
            return hello.get("token", "")

        peer = self.peer(talk)
        with self.assertRaises(arbiter.Refused):
            async with arbiter.connect(**options):
                pass
        return await peer

    async def test_again_with_the_token_of_the_environment(self):
        with mock.patch.dict(os.environ, ARBITER_ADDR=f"unix:{self.path}", ARBITER_TOKEN="secret"), mock.patch.object(arbiter, "_token", ""):
            self.assertEqual(await self.refused(), "secret")
            self.assertNotIn("ARBITER_TOKEN", os.environ)
            self.assertEqual(await self.refused(), "secret")
            self.assertEqual(await self.refused(token="own"), "own")
            os.environ["ARBITER_TOKEN"] = "new"
            self.assertEqual(await self.refused(), "new")
            self.assertEqual(await self.refused(address=f"unix:{self.path}"), "")

    async def test_a_place_that_is_none(self):
        for address in ("tcp:127.0.0.1:99999", "tcp:127.0.0.1:-1", "tcp:127.0.0.1:http", "unix:" + "x" * 200, "unix:a\0b"):
            with self.subTest(address), self.assertRaisesRegex(arbiter.Closed, "cannot join the arbiter: "):
                async with arbiter.connect(address):
                    pass

    async def test_nobody_waits_for_the_welcome(self):
        greeted, before = asyncio.Event(), asyncio.all_tasks()
        loop = asyncio.get_running_loop()

        def talk(p: Peer) -> None:
            p.next()
            loop.call_soon_threadsafe(greeted.set)
            self.assertIsNone(p.next())

        peer = self.peer(talk)
        joining = asyncio.ensure_future(arbiter.Actor("x").serve(f"unix:{self.path}", signals=False))
        await greeted.wait()
        joining.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await joining
        await peer
        self.assertEqual(asyncio.all_tasks(), before)

    async def test_nobody_waits_for_what_follows_the_welcome(self):
        def talk(p: Peer) -> None:
            p.welcome()
            self.assertIsNone(p.next())

        actor, stopped = arbiter.Actor("x"), []

        @actor.on_stop
        async def stop() -> None:
            stopped.append("though it has not started")

        peer = self.peer(talk)
        joining = asyncio.ensure_future(actor.serve(f"unix:{self.path}", signals=False))
        while not joining.done() and (actor._life is None or not actor._life.ref.aid):
            await asyncio.sleep(0)
        joining.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await joining
        await peer
        await actor._life._gone.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        self.assertEqual(stopped, [])


class Ends(Talks):
    def setUp(self):
        self.actor, self.begun, self.go = arbiter.Actor("x", grace=60), asyncio.Event(), asyncio.Event()

        @self.actor.command
        async def work() -> str:
            self.begun.set()
            await self.go.wait()
            return "done"

    def talk(self, p: Peer) -> None:
        p.welcome()
        p.say(command="work", target="me-1", ack="1")
        self.assertEqual(p.next(), {"command": "callback", "ack": "1", "result": "done"})
        self.assertEqual(p.next(), {"command": "goodbye", "death": {"cause": "stopped", "reason": "nobody serves it any more"}})

    async def canceled(self) -> "asyncio.Task[arbiter.Death]":
        """Has it work, and gives up to wait for its end."""
        serving = asyncio.ensure_future(self.actor.serve(f"unix:{self.path}", signals=False))
        await self.begun.wait()
        serving.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        self.assertFalse(serving.done())
        return serving

    async def test_who_is_served_no_more_stops(self):
        peer = self.peer(self.talk)
        serving = await self.canceled()
        self.go.set()
        with self.assertRaises(asyncio.CancelledError):
            await serving
        self.assertEqual(self.actor.life.state, "closed")
        await peer

    async def test_nobody_waits_for_that_either(self):
        peer = self.peer(self.talk)
        serving = await self.canceled()
        serving.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await serving
        self.go.set()
        await peer
        await self.actor.life.ended

    async def test_the_program_ends(self):
        """What asyncio.run cancels when it ends is all there is, and in any order."""
        for stop in ("nothing", "a stop", "a stop under way", "a stop that does not begin", "a goodbye under way"):
            with self.subTest(stop):
                said = []

                def talk(p: Peer) -> None:
                    p.welcome()
                    said.append(p.next()["command"])
                    p.next()

                async def main(actor: arbiter.Actor) -> None:
                    serving = asyncio.ensure_future(actor.serve(f"unix:{self.path}", signals=False))
                    while not serving.done() and (actor._life is None or actor._life.state != "running"):
                        await asyncio.sleep(0)
                    if stop != "nothing":
                        actor.stop()
                    if stop == "a stop under way":
                        await asyncio.sleep(0)
                    while stop == "a goodbye under way" and not serving.done() and actor._life.state != "closed":
                        await asyncio.sleep(0)
                    self.assertFalse(serving.done())
                    if stop == "a stop that does not begin":
                        for t in asyncio.all_tasks() - {asyncio.current_task()}:
                            t.cancel()
                        await asyncio.wait({serving})

                peer = self.peer(talk)
                program = threading.Thread(target=lambda: asyncio.run(main(arbiter.Actor("x"))), daemon=True)
                with mock.patch.object(arbiter.log, "disabled", True):  # a stop that is canceled has failed
                    program.start()
                    await peer
                    await asyncio.get_running_loop().run_in_executor(None, program.join, 60)
                self.assertEqual((program.is_alive(), said), (False, ["goodbye"]))


if __name__ == "__main__":
    unittest.main()

"""Unit tests of arbiter.py: joining, and giving it up."""

import os
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


if __name__ == "__main__":
    unittest.main()

"""Gives the tiles of the demo their colours. The arbiter of the demo starts it, with arbiter.py beside it."""

import array
import math
import sys
import threading
import traceback

import arbiter

me = arbiter.Actor("colourist")


class Palette(dict):
    """The colours, in three bytes, by how soon a point escapes, in sixteenths of a step: each computed when it is first wanted."""

    def __missing__(self, steps: int) -> bytes:
        t = math.sqrt(steps / 16) * 0.55
        self[steps] = rgb = bytes(int(127.5 + 127.5 * math.cos(t + phase)) for phase in (3.0, 3.7, 4.5))
        return rgb


palette = Palette({0: bytes(3)})  # what never escapes is black


def coloured(steps: bytes) -> bytes:
    numbers = array.array("H", steps)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b"".join(map(palette.__getitem__, numbers))


@me.command
async def colour(steps: bytes, by: str) -> dict:
    """gives a rendered tile its colours"""
    return {"rgb": coloured(steps), "by": me.ref.name}  # so soon that it need not be in a thread


@me.command
async def panic() -> None:
    """raises what nobody handles, which is the end of this program"""
    try:
        raise RuntimeError("told to raise")
    except RuntimeError:
        traceback.print_exc()
        sys.exit(1)


@me.command
def hang() -> None:
    """never ends by itself"""
    threading.Event().wait()


if __name__ == "__main__":
    me.run()

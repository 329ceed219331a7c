"""The worker of sdk/interop with the SDK for Python. goworker_test.go says what its commands are."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, Callable, Coroutine, Dict, List

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))

import arbiter  # noqa: E402
from values import VALUES, show as written  # noqa: E402

me = arbiter.Actor("interop", mode="concurrent")


class Hold:
    """A call that is held until somebody has seen what became of it."""

    def __init__(self) -> None:
        self.begun, self.over, self.released = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.fate = "ran on"


holds: Dict[str, Hold] = {}


def hold_of(tag: str) -> Hold:
    return holds.setdefault(tag, Hold())


@me.command
async def show(value: Any) -> str:
    return written(value)


@me.command
async def fail(code: str, message: str) -> None:
    raise arbiter.AppError(message, app=code)


@me.command
async def hold(tag: str) -> None:
    h = hold_of(tag)
    h.begun.set()
    try:
        await h.released.wait()
    except asyncio.CancelledError:
        h.fate = "was told"
        raise
    finally:
        h.over.set()


@me.command
async def begun(tag: str) -> bool:
    await hold_of(tag).begun.wait()
    return True


@me.command
async def fate(tag: str, ms: int) -> str:
    """what became of the call that is held, which may take a while to be told; then lets it go"""
    h = hold_of(tag)
    try:
        await asyncio.wait_for(h.over.wait(), ms / 1000)
    except asyncio.TimeoutError:
        pass
    h.released.set()
    return h.fate


async def outcome(call: Coroutine[Any, Any, Any]) -> str:
    try:
        return written(await call)
    except asyncio.CancelledError:
        return "canceled"
    except arbiter.ArbiterError as e:
        return e.code + (f" {e.app}: {e.message}" if e.code == "app" else f" {e.death.cause}" if e.death else "")


@me.command
async def offer(target: str) -> List[List[str]]:
    """of each value: its name, as what it arrives at the target, as what it comes back"""
    return [[name, await outcome(me.call(target, "show", v)), await outcome(me.call(target, "echo", v))] for name, v in VALUES]


@me.command
async def sweep(target: str, form: str, low: int, high: int, step: int) -> str:
    """has target echo texts, or bytes, of all the sizes from low to high"""
    one: Callable[[int], Any] = (lambda n: "x" * n) if form == "text" else (lambda n: b"x" * n)
    for n in range(low, high + 1, step):
        if await me.call(target, "echo", one(n)) != one(n):
            return f"{n} bytes came back otherwise"
    return "the same"


@me.command
async def ask(target: str, command: str, args: list, timeout: int) -> str:
    """what becomes of a call, which has so many milliseconds"""
    return await outcome(me.ask(target, command, args, timeout=timeout / 1000))


@me.command
async def abandon(target: str, tag: str) -> str:
    """has target hold a call, and gives it up"""
    task = asyncio.get_running_loop().create_task(me.call(target, "hold", tag))
    await me.call(target, "begun", tag)
    task.cancel()

    async def joined() -> Any:
        return await task

    return await outcome(joined())


me.run()

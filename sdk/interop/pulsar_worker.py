"""The worker of sdk/interop in Python's pulsar, 1.6 or 2.0, which is no part of this repository: a real actor of it, unchanged.
goworker_test.go says what its commands are.

    python3.6 pulsar_worker.py HOST PORT AID NAME
"""

import asyncio
import importlib
import sys

from values import VALUES, show as written

try:
    from pulsar.api import command
except ImportError:
    from pulsar import command

concurrency, proxy, access = (importlib.import_module("pulsar.async." + m) for m in ("concurrency", "proxy", "access"))
from pulsar.utils.config import Config  # noqa: E402


class Hold:
    def __init__(self):
        self.begun, self.over, self.released = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.fate = "ran on"


holds = {}


def hold_of(tag):
    if tag not in holds:
        holds[tag] = Hold()
    return holds[tag]


@command()
def show(request, value):
    return written(value)


@command()
def fail(request, code, message):
    raise RuntimeError(code + ": " + message)


@command()
async def hold(request, tag):
    h = hold_of(tag)
    h.begun.set()
    try:
        await h.released.wait()
    except asyncio.CancelledError:
        h.fate = "was told"
        raise
    finally:
        h.over.set()


@command()
async def begun(request, tag):
    await hold_of(tag).begun.wait()
    return True


@command()
async def fate(request, tag, ms):
    h = hold_of(tag)
    try:
        await asyncio.wait_for(h.over.wait(), ms / 1000)
    except asyncio.TimeoutError:
        pass
    h.released.set()
    return h.fate


@command()
async def offer(request, target):
    send = request.actor.send
    return [[name, written(await send(target, "show", v)), written(await send(target, "echo", v))] for name, v in VALUES]


@command()
async def sweep(request, target, form, low, high, step):
    for n in range(low, high + 1, step):
        v = "x" * n if form == "text" else b"x" * n
        if await request.actor.send(target, "echo", v) != v:
            return "%d bytes came back otherwise" % n
    return "the same"


@command()
async def ask(request, target, command, args, timeout):
    return written(await request.actor.send(target, command, *args))  # pulsar's calls have no deadline


@command()
async def abandon(request, target, tag):
    async def held():
        # Whoever cancels what send returned has pulsar 2.0.2 end its connection, and its actor, when the answer comes after all.
        return await asyncio.shield(asyncio.ensure_future(request.actor.send(target, "hold", tag)))

    task = asyncio.ensure_future(held())
    await request.actor.send(target, "begun", tag)
    task.cancel()
    try:
        return written(await task)
    except asyncio.CancelledError:
        return "canceled"


host, port, aid, name = sys.argv[1:5]
cfg = Config()
cfg.set("concurrency", "process")
asyncio.set_event_loop_policy(access.EventLoopPolicy(cfg.event_loop, cfg.thread_workers, cfg.debug))


class Monitor:
    aid = name = "arbiter"


Monitor.cfg, Monitor.address = cfg, (host, int(port))
actor = concurrency.ActorMultiProcess.make("process", cfg, name, aid, monitor=proxy.ActorProxy(Monitor))
actor.impl.run()

"""The worker of sdk/conformance in Python: the same commands in every language, and the runner of its cases.

    python3 conformance_worker.py serial|interleaved|concurrent|small|failing
"""

from __future__ import annotations

import asyncio
import datetime
import math
import os
import sys
import time
import uuid
from typing import Any, Dict, List, Optional

import arbiter

variant = sys.argv[1] if len(sys.argv) > 1 else "concurrent"
me = arbiter.Actor("conformance", mode={"small": "serial", "failing": "serial"}.get(variant, variant), name=os.environ.get("CONFORMANCE_NAME", ""),
                   inbox=(4, 1 << 20) if variant == "small" else (2048, 8 << 20))
noted: List[str] = []
waiting: Dict[str, "asyncio.Future[None]"] = {}


def note_down(text: str) -> None:
    noted.append(text)
    if text in waiting:
        waiting.pop(text).set_result(None)


@me.command
async def add(a: int, b: int = 0) -> int:
    return a + b


@me.command
async def fail(code: str, message: str) -> None:
    raise arbiter.AppError(message, app=code)


@me.command
async def boom() -> None:
    raise RuntimeError("boom")


@me.command
async def sleep(ms: int, tag: str = "sleep") -> str:
    note_down(f"{tag} begins")
    try:
        await asyncio.sleep(ms / 1000)
    except asyncio.CancelledError:
        note_down(f"{tag} {arbiter.current().over}")
        note_down(f"{tag} is over")
        raise
    return "slept"


@me.command
def block(ms: int) -> str:
    end = time.monotonic() + ms / 1000
    while time.monotonic() < end:
        pass
    return "blocked"


@me.command(ack=False)
async def note(text: str) -> None:
    note_down(text)


@me.command(ack=False)
async def linger(ms: int, text: str) -> None:
    await asyncio.sleep(ms / 1000)
    note_down(text)


@me.command
async def notes() -> List[str]:
    return noted


@me.command
async def expect(text: str) -> int:
    """returns when text has been noted"""
    if text not in noted:
        if text not in waiting:
            waiting[text] = asyncio.get_running_loop().create_future()
        await asyncio.shield(waiting[text])
    return noted.count(text)


KINDS = [(type(None), "null"), (bool, "bool"), (int, "int"), (float, "float"), (str, "text"), (bytes, "bytes"), (list, "list"),
         (dict, "map"), (set, "set"), (datetime.datetime, "time"), (uuid.UUID, "uuid")]


@me.command
async def describe(value: Any) -> str:
    return next(name for cls, name in KINDS if isinstance(value, cls))


def told(e: arbiter.ArbiterError) -> Dict[str, Any]:
    m = {"code": e.code, "app": e.app, "message": e.message, "started": e.started, "path": e.path}
    if e.death:
        m["cause"] = e.death.cause
    return {k: v for k, v in m.items() if v not in ("", None, [])}


@me.command
async def outcome(target: str, command: str, args: list = [], kwargs: dict = {}, timeout: int = 0) -> Dict[str, Any]:
    """what became of a call made in a handler"""
    try:
        return {"result": await me.ask(target, command, args, kwargs, timeout / 1000 or None)}
    except arbiter.ArbiterError as e:
        return told(e)


@me.command
async def relay(target: str, command: str, args: list = []) -> Any:
    return await me.call(target, command, *args)


@me.command
async def gather(target: str, command: str, args: list, times: int) -> Any:
    """makes the same call so many times, all at once"""
    return await asyncio.gather(*(me.call(target, command, *args) for _ in range(times)))


@me.command
async def post(target: str, command: str, args: list = []) -> None:
    await me.send(target, command, *args)


@me.command
async def attend(target: str) -> None:
    """watches target, and notes how it ended"""
    w = await me.watch(target)

    async def wait() -> None:
        note_down("down " + (await w.down()).death.cause)

    asyncio.get_running_loop().create_task(wait())


@me.command
async def die(code: int) -> None:
    print("last words", file=sys.stderr)
    os._exit(code)


if variant == "failing":

    @me.on_start
    async def start() -> None:
        raise ValueError("no paper")


@me.on_stop
async def stopping() -> None:
    if me.config.get("witness"):
        await me.send(me.config["witness"], "note", "hook ran")


@me.on_undelivered
async def undelivered(e: arbiter.ArbiterError) -> None:
    note_down(f"undelivered {e.command} {e.code}")


# The runner of cases: docs in sdk/conformance/cases.go


class Mismatch(Exception):
    pass


class Case:
    def __init__(self, case: Dict[str, Any], launch: Dict[str, Any], shared: Dict[str, str]) -> None:
        self.case, self.launch, self.names = case, launch, {**shared, "$self": me.ref.aid}
        self.started: Dict[str, "asyncio.Task[Any]"] = {}
        self.watches: Dict[str, arbiter.Watch] = {}

    async def run(self) -> None:
        try:
            for step in self.case["steps"]:
                await getattr(self, "do_" + step["do"])(step)
        finally:
            for t in self.started.values():
                t.cancel()
            for name, aid in self.names.items():
                if name.startswith("$own_"):
                    await me.send(aid, "stop")

    def value(self, v: Any) -> Any:
        """v of the case, which is plain JSON text parsed by the SDK, with names put in and what is repeated made."""
        if isinstance(v, str):
            return self.names.get(v, v)
        if isinstance(v, list):
            return [self.value(x) for x in v]
        if isinstance(v, dict):
            if set(v) == {"@repeat", "@times"}:
                return v["@repeat"] * v["@times"]
            return {k: self.value(x) for k, x in v.items()}
        return v

    def ask(self, step: Dict[str, Any]) -> Any:
        return me.ask(self.value(step["target"]), step["command"], self.value(step.get("args", [])), self.value(step.get("kwargs", {})),
                      step.get("timeout", 10000) / 1000)

    async def settle(self, step: Dict[str, Any], call: Any) -> None:
        try:
            got: Any = {"result": await call}
        except asyncio.CancelledError:
            got = {"code": "canceled"}
        except arbiter.ArbiterError as e:
            got = told(e)
        if "error" in step:
            if "result" in got:
                raise Mismatch(f"{step['command']}: it went well: {got!r:.300}")
            for k, v in step["error"].items():
                if k == "message" and v in got.get(k, ""):
                    continue
                if got.get(k) != self.value(v):
                    raise Mismatch(f"{step['command']}: error {k} is {got.get(k)!r}, want {v!r}: {got!r:.300}")
        elif "result" not in got:
            raise Mismatch(f"{step['command']}: {got!r:.300}")
        elif "like" in step and any(not same(v, got["result"].get(k)) for k, v in self.value(step["like"]).items()):
            raise Mismatch(f"{step['command']}: {got['result']!r:.200}, want {step['like']!r:.200}")
        elif "result" in step and not same(got["result"], self.value(step["result"])):
            raise Mismatch(f"{step['command']}: {got['result']!r:.200}, want {self.value(step['result'])!r:.200}")

    async def do_call(self, step: Dict[str, Any]) -> None:
        await self.settle(step, self.ask(step))

    async def do_send(self, step: Dict[str, Any]) -> None:
        await me.send(self.value(step["target"]), step["command"], *self.value(step.get("args", [])))

    async def do_start(self, step: Dict[str, Any]) -> None:
        self.started[step["as"]] = asyncio.get_running_loop().create_task(self.ask(step))
        await asyncio.sleep(0)

    async def do_cancel(self, step: Dict[str, Any]) -> None:
        self.started[step["as"]].cancel()

    async def do_join(self, step: Dict[str, Any]) -> None:
        await self.settle({"command": step["as"], **step}, self.started.pop(step["as"]))

    async def do_spawn(self, step: Dict[str, Any]) -> None:
        options = dict(self.launch[step["variant"]])
        ref = await me.spawn(**options, extra=self.value(step.get("extra", {})))
        self.names["$own_" + step["as"]] = self.names["$" + step["as"]] = ref.aid

    async def do_watch(self, step: Dict[str, Any]) -> None:
        self.watches[step["as"]] = await me.watch(self.value(step["target"]))

    async def do_down(self, step: Dict[str, Any]) -> None:
        down = await asyncio.wait_for(self.watches.pop(step["as"]).down(), 10)
        if down.death.cause != step["cause"] or down.death.code != step.get("code", down.death.code):
            raise Mismatch(f"down: {down}")

    async def do_sweep(self, step: Dict[str, Any]) -> None:
        for low, high in step["sizes"]:
            for n in range(low, high + 1):
                if await me.call(self.value(step["target"]), "echo", "x" * n) != "x" * n:
                    raise Mismatch(f"a text of {n} bytes")


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(x, b[k]) for k, x in a.items())
    return a == b or isinstance(a, float) and math.isnan(a) and math.isnan(b)


@me.command
async def conform(file: str, launch: dict, target: str, skip: Optional[dict] = None) -> List[Dict[str, str]]:
    """runs the cases in file, but those to skip, against target, and says what went wrong in each"""
    results = []
    with open(file, encoding="utf-8") as f:
        cases = arbiter.loads(f.read())
    for case in cases:
        if case["name"] in (skip or {}):
            continue
        why = ""
        try:
            await asyncio.wait_for(Case(case, launch, {"$target": target}).run(), 30)
        except Mismatch as e:
            why = str(e)
        except Exception as e:
            why = f"{type(e).__name__}: {e}"
        results.append({"name": case["name"], "why": why})
    return results


if __name__ == "__main__":
    me.run()

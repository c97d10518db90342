"""What all workers know together of each model's limits and health at each key, and who may call next.

A *gate* is the way to one model with one key. Of most nothing is known but that it works: a call through it costs no
look at Redis, and a burst of them is let out bit by bit (`worker/ramp.py`). Once its limit is configured, or a provider
has told of one that is getting scarce, or something has gone wrong, the gate is *watched*: all workers hear of it at
once (pub/sub), those calls count that are on their way, and each one more is admitted by one script and settled by one
that nobody waits for. What they keep of it is told in `worker/limit_scripts.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from shared.chat import Usage
from shared.errors import ProviderError, RateLimited, Rejected, StoreError
from shared.ids import now_ms
from shared.jobs import Job
from shared.lanes import Lane
from shared.logs import where
from shared.stores.redis import RedisStore
from worker.fitness import Fitness
from worker.gate_news import GateNews
from worker.gates import Gate, tokens_of
from worker.limit_admit import ADMIT
from worker.limit_endings import SET_ASIDE, SETTLE, TROUBLE, kind_of
from worker.limit_headers import Told, scarce, spent_s, used_up
from worker.limit_scripts import JOIN, RENEW
from worker.ramp import Ramp
from worker.retry import refuses_key
from worker.routing import Target
from worker.shut import Shut

log = logging.getLogger("hermod.worker")

TURN_S = {Lane.INTERACTIVE: 30.0, Lane.ASYNC: 5.0, Lane.BATCH: 2.0}
"""How far ahead a turn may be reserved: a lane that may look further stands before the others. A tenth of a job's age
comes on top, so that none waits for ever."""
LONGEST_TURN_S = 60.0
LEASE_S = 10.0
"""After which the calls of a silent worker count no more."""
CHORES_S = 1.0
LEASES_EVERY = 3
"""Rounds of chores."""


class Pass(msgspec.Struct):
    """Leave to make one call.

    Attributes:
        body: of the request; empty where it has been estimated.
        number: of this worker's calls.
        call: its id where it is counted; empty through a gate nobody watches.
        chosen: there were other keys.
        input, output: tokens it is taken to cost.
        began: monotonic seconds.
    """

    target: Target
    gate: Gate
    body: bytes = b""
    number: int = 0
    call: str = ""
    chosen: bool = False
    input: int = 0
    output: int = 0
    began: float = 0.0


class Limits:
    """One worker's part. Between `open` and `close` it hears what the others see."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._id = secrets.token_hex(6)
        self._numbers = 0
        self._flying: dict[str, dict[int, Pass]] = {}
        self._ramp = Ramp()
        self._counted: dict[str, Gate] = {}
        self._fitness = Fitness(store)
        self._behind: set[asyncio.Task[Any]] = set()
        self._news = GateNews(store, self._count_those_on_their_way)
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to listen; in a running event loop. The first calls wait until what the others know has been read."""
        self._news.begin()
        self._tasks = [asyncio.create_task(self._news.hear()), asyncio.create_task(self._chores())]

    async def close(self) -> None:
        """Stop listening, and have written what is to be written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._behind, return_exceptions=True)

    def weights(self, targets: Sequence[Target]) -> list[float]:
        """The targets' configured weights times what their health makes of them."""
        shares = self._fitness.shares([target.gate.name for target in targets])
        return [target.key.weight * share for target, share in zip(targets, shares, strict=True)]

    def usable(self, target: Target) -> bool:
        """Whether its key is not set aside, as far as this worker knows."""
        return not self._news.shut(target.gate.name)[0]

    # --- a call ---------------------------------------------------------------------------------------

    async def admit(self, job: Job, body: bytes, targets: Sequence[Target], *, most_s: float | None) -> Pass | Shut:
        """Leave for the first of the targets that may be called now, which are in the order of preference.

        A job that gets none has a turn reserved, or is told when to ask again; with `most_s` only a turn within that
        time, for it has somewhere else to go.

        Raises:
            StoreError: a gate is watched, and Redis is away.
        """
        if not self._news.is_caught_up:
            await self._news.caught_up()
        usable = [target for target in targets if self.usable(target)]
        if not usable:
            return min((self._set_aside(target) for target in targets), key=lambda shut: shut.wait_s)
        chosen = len(targets) > 1
        if not await self._is_watched(usable[0].gate):
            return self._go(Pass(usable[0], usable[0].gate, body, chosen=chosen))
        return await self._asked(job, body, usable, most_s, chosen=chosen)

    async def _is_watched(self, gate: Gate) -> bool:
        """Whether all workers together admit its calls; of one of which nothing is known, after its ramp's wait."""
        watched = gate.limited or self._news.watches(gate.name)
        if watched or self._ramp.goes(gate.name, len(self._flying.get(gate.name, ()))):
            return watched
        await self._ramp.wait(gate.name)
        return self._news.watches(gate.name)

    async def _asked(
        self, job: Job, body: bytes, usable: Sequence[Target], most_s: float | None, *, chosen: bool
    ) -> Pass | Shut:
        """What Redis says to the call, for all workers. Raises StoreError."""
        gates = [target.gate for target in usable]
        into, out = tokens_of(body)
        call = self._name()
        open_, number, *rest = await self._store.run(
            ADMIT,
            job.id,
            call,
            "-" if most_s is not None else job.lane,
            int(1000 * (_turn_s(job) if most_s is None else most_s)),
            int(1000 * LEASE_S),
            into,
            out,
            "\n".join(gate.line for gate in gates),
        )
        target, gate = usable[number - 1], gates[number - 1]
        if not open_:
            return Shut(target, rest[0] / 1000, rest[1].decode())
        return self._go(Pass(target, gate, call=call, chosen=chosen, input=into, output=out))

    def settle(self, leave: Pass, usage: Usage | None, headers: Mapping[str, str]) -> None:
        """The call has ended, and not by a fault of the key or the provider; nobody waits for this to be written."""
        ms = self._landed(leave, failed=False)
        told = scarce(leave.gate.provider, headers, time.time())
        if not (leave.call or told):
            return
        used = (leave.input, leave.output)
        if usage is not None and usage.known:
            used = (usage.total_input_tokens, usage.output_tokens)
        ids = (leave.gate.name, leave.gate.provider, leave.call)
        self._write_behind(self._store.run(SETTLE, *ids, f"{ms:.0f}", leave.input, leave.output, *used, _lines(told)))

    async def trouble(self, leave: Pass, error: ProviderError, headers: Mapping[str, str]) -> None:
        """The call has failed; when this returns, no worker sends what the failure forbids.

        When a 429 says when to come back only in headers of its own, the error is told it.
        """
        if isinstance(error, Rejected) and not refuses_key(error):
            self.settle(leave, None, headers)
            return
        flying = len(self._flying.get(leave.gate.name, ()))
        self._landed(leave, failed=True)
        self._news.watch(leave.gate.name)
        now_s, provider = time.time(), leave.gate.provider
        if isinstance(error, RateLimited) and error.retry_after_s is None:
            error.retry_after_s = spent_s(provider, headers, now_s)
        told_ms = 0 if error.retry_after_s is None else int(error.retry_after_s * 1000)
        told = [*scarce(provider, headers, now_s), *used_up(error.quotas)]
        kind = kind_of(error)
        facts = (kind, told_ms, flying, _lines(told))
        with contextlib.suppress(StoreError):
            left_ms = await self._store.run(TROUBLE, leave.gate.name, leave.gate.provider, leave.call, *facts)
            if why := SET_ASIDE.get(kind):
                self._news.shut_for(leave.gate.name, left_ms / 1000, why)

    def release(self, leave: Pass) -> None:
        """Nothing came of the leave, or nothing is known of what did."""
        self._gone(leave)
        if leave.call:
            gate = leave.gate
            self._write_behind(self._store.run(TROUBLE, gate.name, gate.provider, leave.call, "over", 0, 0, ""))

    def _go(self, leave: Pass) -> Pass:
        self._numbers += 1
        leave.number, leave.began = self._numbers, time.monotonic()
        self._flying.setdefault(leave.gate.name, {})[leave.number] = leave
        if leave.call:
            self._counted[leave.call] = leave.gate
        return leave

    def _name(self) -> str:
        self._numbers += 1
        return f"{self._id}:{self._numbers}"

    def _gone(self, leave: Pass) -> None:
        name = leave.gate.name
        flying = self._flying.get(name, {})
        flying.pop(leave.number, None)
        if not flying:
            self._flying.pop(name, None)
        if leave.call:
            self._counted.pop(leave.call, None)

    def _landed(self, leave: Pass, *, failed: bool) -> float:
        ms, name = (time.monotonic() - leave.began) * 1000, leave.gate.name
        if not failed:
            self._ramp.answered(name, len(self._flying.get(name, ())), ms)
        self._gone(leave)
        if leave.chosen:
            self._fitness.note(name, ms, failed=failed)
        return ms

    def _set_aside(self, target: Target) -> Shut:
        wait_s, why = self._news.shut(target.gate.name)
        return Shut(target, max(0.001, wait_s), why or SET_ASIDE["refused"])

    # --- with the others ------------------------------------------------------------------------------

    def _count_those_on_their_way(self, gate: str) -> None:
        for leave in self._flying.get(gate, {}).values():
            if not leave.call:
                self._join(leave)

    def _join(self, leave: Pass) -> None:
        """A call on its way through a gate that has come to be watched counts from now on."""
        leave.call, (leave.input, leave.output), leave.body = self._name(), tokens_of(leave.body), b""
        self._counted[leave.call] = leave.gate
        gate, lease_ms = leave.gate, int(1000 * LEASE_S)
        joining = self._store.run(JOIN, gate.name, gate.provider, leave.call, lease_ms, leave.input, leave.output)
        self._write_behind(joining)

    async def _chores(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(CHORES_S)
            rounds += 1
            try:
                await self._fitness.exchange()
                if rounds % LEASES_EVERY == 0:
                    self._news.forget()
                    self._ramp.forget()
                    await self._renew()
            except StoreError:
                continue  # told by whoever claims jobs
            except Exception as error:  # noqa: BLE001 - without leases, the calls of this worker would count no more
                log.error("chores of limits failed: %s", where(error))  # noqa: TRY400 - as in leases

    async def _renew(self) -> None:
        lease_ms = int(1000 * LEASE_S)
        calls = list(self._counted.items())
        await asyncio.gather(*(self._store.run(RENEW, g.name, g.provider, call, lease_ms) for call, g in calls))

    def _write_behind(self, writing: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(_quietly(writing))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)


async def _quietly(writing: Coroutine[Any, Any, Any]) -> None:
    """A slot that is not given back runs out with its lease."""
    with contextlib.suppress(StoreError):
        await writing


def _turn_s(job: Job) -> float:
    age_s = max(0, now_ms() - job.created_ms) / 1000
    return min(TURN_S[job.lane] + age_s / 10, LONGEST_TURN_S)


def _lines(told: list[Told]) -> str:
    return "\n".join(f"{limit.kind} {limit.interval_ms} {limit.limit} {limit.used}" for limit in told)

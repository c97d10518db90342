"""How fast and how sound the keys are that a job can choose between: what all workers saw, exchanged once a second."""

from __future__ import annotations

import math

from shared.lanes import CLOCK
from shared.stores.redis import RedisStore, Script

LEAST = 0.05
"""Of a key's weight, what is left when nothing but failures is seen of it: enough to see that it is well again."""
SLOWEST = 0.25
"""The same of one that is slow."""
MOST_GATES = 10_000
"""About as many are remembered: models are named by clients, who may think of any number."""

# What a worker saw of `count` calls, joined to what the others did: replies {ms a call takes, share that fails}, as
# texts. Failures are forgotten by half every minute in which none is seen.
_JOIN = Script(
    CLOCK
    + """
local function one(gate, count, latency, failing)
  local now, kept = clock_ms(), redis.call('HGET', 'hermod:fitness', gate)
  local usual, share, at = string.match(kept or '', '(%S+) (%S+) (%S+)')
  if usual then
    local old = 0.9 ^ count
    share = share * 0.5 ^ ((now - at) / 60000)
    latency, failing = usual * old + latency * (1 - old), share * old + failing * (1 - old)
  end
  if not kept and redis.call('HLEN', 'hermod:fitness') >= MOST_GATES then redis.call('DEL', 'hermod:fitness') end
  redis.call('HSET', 'hermod:fitness', gate, string.format('%.1f %.4f %.0f', latency, failing, now))
  redis.call('EXPIRE', 'hermod:fitness', 3600)
  return {string.format('%.1f', latency), string.format('%.4f', failing)}
end
""".replace("MOST_GATES", str(MOST_GATES)),
    even_when_full=True,
)


class _Seen:
    """Calls through one gate since the last exchange."""

    def __init__(self) -> None:
        self.count = 0
        self.failed = 0
        self.ms = 0.0


class Fitness:
    """Of gates through which jobs go that had a choice."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._seen: dict[str, _Seen] = {}
        self._known: dict[str, tuple[float, float]] = {}

    def note(self, gate: str, ms: float, *, failed: bool) -> None:
        """A call took `ms` milliseconds; of a failed one that says nothing."""
        seen = self._seen.setdefault(gate, _Seen())
        seen.count += 1
        seen.failed += failed
        seen.ms += 0.0 if failed else ms

    def shares(self, gates: list[str]) -> list[float]:
        """By what to multiply the weights of these gates: 1 for one that is sound and as fast as the fastest."""
        known = [self._known.get(gate, (0.0, 0.0)) for gate in gates]
        fastest = min((ms for ms, _ in known if ms), default=0.0)
        return [
            max(LEAST, (1 - failing) ** 2) * (max(SLOWEST, math.sqrt(fastest / ms)) if ms else 1.0)
            for ms, failing in known
        ]

    async def exchange(self) -> None:
        """Tell the others, and hear from them. Raises StoreError."""
        seen, self._seen = self._seen, {}
        if len(self._known) > MOST_GATES:
            self._known.clear()
        for gate, calls in seen.items():
            well = calls.count - calls.failed
            usual = self._known.get(gate, (0.0, 0.0))[0]
            ms, failing = calls.ms / well if well else usual, calls.failed / calls.count
            latency, failing_share = await self._store.run(_JOIN, gate, calls.count, f"{ms:.1f}", f"{failing:.4f}")
            self._known[gate] = (float(latency), float(failing_share))

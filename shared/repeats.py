"""What a request became, so that the same request does not become it twice: for files and batches.

    hermod:<kind>-same:<what>  id, and the Unix ms at which a retry made it, 0 when it was no retry
    hermod:<kind>-idem:<name>  id and `what`

An SDK's retry joins what an identical request became in the last ten minutes. The try before it may end later than the
retry, for its bytes were all there when the client gave it up: it joins what the retry made after it had begun. Two
wishes for the same, neither of them a retry, are two. Jobs have their own keys, see `shared/queue_scripts.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.errors import Conflict
from shared.ids import digest
from shared.queue_scripts import IDEMPOTENCY_S, SAME_REQUEST_S

CONFLICT = b"conflict"


class Asked(NamedTuple):
    """How a request is known again; the arguments of a script with REPEATS, in this order.

    Attributes:
        what: digest of the owner and of all that was asked; empty when it need not be known again.
        began_ms: Unix milliseconds at which it arrived.
        retried: 1 when the SDK says that this is a retry of its own, else 0.
        name: see `name_of`.
    """

    what: str = ""
    began_ms: int = 0
    retried: int = 0
    name: str = ""


ANEW = Asked()
"""What need not be known again."""

REPEATS = """
-- The id of what the request became before, or 'conflict'; nil for none that `is_alive`.
local function became_before(kind, what, began, retried, name, is_alive)
  if name ~= '' then
    local id, held_what = string.match(redis.call('GET', 'hermod:' .. kind .. '-idem:' .. name) or '', '^(%S+) (%S+)$')
    if id and held_what ~= what then return 'conflict' end
    return id and is_alive(id) and id or nil
  end
  local held = what ~= '' and redis.call('GET', 'hermod:' .. kind .. '-same:' .. what)
  local id, made = string.match(held or '', '^(%S+) (%d+)$')
  local is_same = id and (retried == '1' or tonumber(began) < tonumber(made))
  return is_same and is_alive(id) and id or nil
end

local function remember(kind, id, now, what, retried, name)
  if what == '' then return end
  local made = retried == '1' and now or '0'
  redis.call('SET', 'hermod:' .. kind .. '-same:' .. what, id .. ' ' .. made, 'EX', SAME_REQUEST_S)
  if name == '' then return end
  redis.call('SET', 'hermod:' .. kind .. '-idem:' .. name, id .. ' ' .. what, 'EX', IDEMPOTENCY_S)
end
""".replace("SAME_REQUEST_S", str(SAME_REQUEST_S)).replace("IDEMPOTENCY_S", str(IDEMPOTENCY_S))


def name_of(owner: str, idempotency_key: str) -> str:
    """The digest by which the owner's key is known again; empty for none."""
    return digest(owner.encode(), idempotency_key.encode()) if idempotency_key else ""


def conflict(noun: str) -> Conflict:
    """The error for a key that was used for another request."""
    return Conflict(
        f"Idempotency-Key: this key was used for another {noun} in the last 24 hours; use a new key.",
        param="Idempotency-Key",
        code="idempotency_conflict",
        should_retry=False,
    )

"""Named points at which a test kills or freezes a worker: `HERMOD_FAILPOINT="answered=kill"` in its environment.

    claimed       jobs were claimed, none was begun
    answered      the provider has answered, the outcome is not written
    renewing      a lease is about to be renewed
    delivering    a webhook is about to be sent
    delivered     its receiver has answered, that is not written
    handing-back  the worker leaves and is about to give a job back

Each fires once: a frozen worker that is woken up goes on.
"""

from __future__ import annotations

import os
import signal

POINTS = frozenset({"claimed", "answered", "renewing", "delivering", "delivered", "handing-back"})
VARIABLE = "HERMOD_FAILPOINT"

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def reach(name: str) -> None:
    """Do here what was ordered for this point, if anything was."""
    if _armed and (signum := _armed.pop(name, None)):
        os.kill(os.getpid(), signum)


def _read(orders: str) -> dict[str, signal.Signals]:
    armed = {}
    for order in orders.split(","):
        name, _, action = order.partition("=")
        if name not in POINTS or action not in _SIGNALS:
            raise ValueError(f"{VARIABLE}: expected `point=kill` or `point=stop`, got {order!r}")
        armed[name] = _SIGNALS[action]
    return armed


_armed = _read(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else {}

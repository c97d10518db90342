"""What an operator can set about callers: section `governance`, read by `shared/config_governance.py`."""

from __future__ import annotations

from typing import ClassVar

from shared.masked import Masked


class VirtualKey(Masked, frozen=True, kw_only=True):
    """A caller's credential and its share of the gateway: an entry of `governance.virtual_keys`.

    Attributes:
        name: unique; default `virtual-key-1`, `virtual-key-2`, …
        value: the credential, a literal or `env.NAME`; any text.
        active: key `is_active`: false refuses whoever sends it; default true.
        weight: turns in line for one of a caller with weight 1; default 1. Ours.
        max_jobs: unfinished jobs; default `client.max_jobs_per_key`. Ours.
        max_running_jobs: jobs that run at once, 0 for no limit; default `client.max_running_jobs_per_key`. Ours.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    value: str
    active: bool = True
    weight: float = 1.0
    max_jobs: int = 100_000
    max_running_jobs: int = 0

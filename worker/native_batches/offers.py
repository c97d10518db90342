"""Who has a batch API, and when it is used without being asked for."""

from __future__ import annotations

from worker.native_batches.anthropic import ANTHROPIC
from worker.native_batches.openai import OPENAI
from worker.native_batches.wires import BatchWire
from worker.routing import Router

_WIRES: dict[str, BatchWire] = {"anthropic": ANTHROPIC, "openai": OPENAI}
"""By a row's `batches`."""


def offers(router: Router, mode: str) -> dict[str, BatchWire]:
    """The configured providers whose batch API serves a batch of `mode`.

    With `native` all that have one. With `auto` those at the vendor's own address: whether a server elsewhere that
    speaks its wire has the batch API too cannot be known, and Azure's takes only deployments made for batches.
    """
    if mode == "direct":
        return {}
    targets = {name: router.any_target(name) for name in router.providers}
    return {
        name: _WIRES[target.row.batches]
        for name, target in targets.items()
        if target.row.batches and (mode == "native" or target.base_url == target.row.base_url)
    }

"""An item of a batch as a job of its own, as the executor takes it. Pure."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from shared.batches import Batch, Item
from shared.dialects import DIALECTS
from shared.dialects.base import Head
from shared.errors import InvalidRequest
from shared.jobs import Attempt, Job
from shared.json_bounds import check_json
from shared.lanes import Lane
from shared.models import split_model

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class Begun(msgspec.Struct):
    """An item on its way, in the shape in which the executor takes it. `record`: id of its shard's record."""

    job: Job
    body: bytes
    attempts: tuple[Attempt, ...] = ()
    record: str = ""

    @property
    def payer(self) -> str:
        """Whose budgets and windows it counts in."""
        return self.job.owner


def begin(batch: Batch, item: Item, uuid: str, request_id: str, providers: Container[str]) -> Begun:
    """The item as a job of its own. Raises InvalidRequest."""
    body = bytes(item.body)
    check_json(body)
    head = DIALECTS[batch.dialect].read_head(body, batch.operation, batch.headers)
    _check_fits(head)
    if head.store:  # its answer is in the results and nowhere else, and says so
        body = _encode({**_FIELDS.decode(body), "store": False})
    job = Job(
        id=uuid,
        owner=batch.owner,
        dialect=batch.dialect,
        operation=batch.operation,
        model="/".join(split_model(head.model, providers, batch.provider)),
        fallbacks=tuple(["/".join(split_model(name, providers, batch.provider)) for name in head.fallbacks]),
        headers=batch.headers,
        request_id=request_id,
        created_ms=batch.created_ms,
        ttl_s=0,
        deadline_ms=batch.expires_ms,
        lane=Lane.BATCH,
    )
    return Begun(job, body)


def _check_fits(head: Head) -> None:
    """Raises InvalidRequest for what has no meaning where nobody waits and nothing but the answer is kept."""
    for field, asked in (
        ("stream", head.stream),
        ("background", head.background),
        ("previous_response_id", head.previous),
    ):
        if asked:
            raise InvalidRequest(f"{field}: not possible in a batch; leave it out.", param=field)

"""What groups of items are run with at batch APIs."""

from __future__ import annotations

import msgspec

from worker.executor import Executor
from worker.item_records import ItemRecords
from worker.native_batches.choice import Chooser
from worker.native_batches.paper import Paper
from worker.native_batches.records import NativeRecords
from worker.routing import Router
from worker.signing import Signer
from worker.transport import Transport


class Means(msgspec.Struct, frozen=True):
    """A worker has one."""

    records: ItemRecords
    noted: NativeRecords
    router: Router
    chooser: Chooser
    paper: Paper
    transport: Transport
    signer: Signer
    executor: Executor

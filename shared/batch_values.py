"""What of a batch's spec is its caller's alone: the values of its metadata and of the headers it forwards, sealed.

Their names, and the rest of the spec, are in the clear: scripts read some of it.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from shared.batches import Batch
from shared.errors import GatewayError
from shared.sealing import Seal, close_each, open_each

_HEADER, _METADATA = "forwarded header", "metadata"
_pack = msgspec.msgpack.Encoder().encode
unpack_batch = msgspec.msgpack.Decoder(Batch).decode


class BatchValues:
    """Packs specs, and opens what was unpacked of them."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def spec(self, batch: Batch) -> bytes:
        """A batch as the record holds it."""
        headers = close_each(self._seal, batch.owner, batch.headers, _HEADER, batch.id)
        metadata = close_each(self._seal, batch.owner, batch.metadata, _METADATA, batch.id)
        return _pack(replace(batch, headers=headers, metadata=metadata))

    def opened(self, batch: Batch) -> Batch:
        """The batch whose spec this is. Raises GatewayError when it cannot be read."""
        headers = open_each(self._seal, batch.owner, batch.headers, _HEADER, batch.id)
        metadata = open_each(self._seal, batch.owner, batch.metadata, _METADATA, batch.id)
        return replace(batch, headers=headers, metadata=metadata)

    def listed(self, batch: Batch) -> Batch:
        """The same for who tells of batches, which one that cannot be read must not spoil: without what is sealed."""
        try:
            return self.opened(batch)
        except GatewayError:
            return replace(batch, headers={}, metadata={})

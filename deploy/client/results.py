"""The results of a batch, copied as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import click
import msgspec

from deploy.client.batch_status import ANTHROPIC, path_of, status_of
from deploy.client.creation import FILES
from deploy.client.gateway import Away, Gateway


class _Result(msgspec.Struct):
    type: str


class _Line(msgspec.Struct):
    """A result of the Anthropic surface."""

    result: _Result


_line = msgspec.json.Decoder(_Line).decode


def copy_results(gateway: Gateway, batch_id: str, out: BinaryIO, *, only_errors: bool) -> None:
    """Write the results to `out`, a line each. Raises click.ClickException, also before the batch has ended."""
    path = path_of(batch_id)
    batch = gateway.get(path)
    status = status_of(batch)
    if not status.ended:
        raise click.ClickException(f"the batch has not ended: {status.done} of {status.total} requests are done.")
    try:
        out.writelines(_parts(gateway, path, batch, only_errors=only_errors))
        out.flush()
    except Away as trouble:
        raise click.ClickException(f"{trouble.message} Some results are missing: run this again.") from trouble


def _parts(gateway: Gateway, path: str, batch: dict[str, Any], *, only_errors: bool) -> Iterator[bytes]:
    if path.startswith(ANTHROPIC):
        with gateway.streamed(f"{path}/results") as chunks:
            yield from _failed(chunks) if only_errors else chunks
        return
    for name in ("error_file_id",) if only_errors else ("output_file_id", "error_file_id"):
        if batch[name]:
            with gateway.streamed(f"{FILES}/{batch[name]}/content") as chunks:
                yield from chunks


def _failed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of requests that did not succeed; each ends with a line feed."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield b"".join(line + b"\n" for line in lines if _line(line).result.type != "succeeded")

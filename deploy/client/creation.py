"""A file of requests to a gateway, which makes a batch of it."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import click
import msgspec

from deploy.client.batch_status import ANTHROPIC as ANTHROPIC_BATCHES
from deploy.client.batch_status import OPENAI as OPENAI_BATCHES
from deploy.client.gateway import Away, Gateway, Refused
from deploy.client.pace import Pace
from deploy.client.requests_file import ANTHROPIC, Requests, anthropic_body, openai_file

FILES = "/v1/files"

_PART = """\
--{boundary}\r
content-disposition: form-data; name="purpose"\r
\r
batch\r
--{boundary}\r
content-disposition: form-data; name="file"; filename="{name}"\r
content-type: application/jsonl\r
\r
"""
"""The form up to the file's content (RFC 7578)."""
_ESCAPED = {ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"}
"""As browsers write file names (WHATWG HTML, "Multipart form data")."""


def create_batch(
    gateway: Gateway, file: BinaryIO, requests: Requests, name: str, headers: dict[str, str]
) -> dict[str, Any]:
    """The batch made of `file`, in which `requests` were found and which is called `name`; read as it is sent."""
    if requests.form == ANTHROPIC:
        return post_once(gateway, ANTHROPIC_BATCHES, lambda: _told(anthropic_body(file), requests.size), headers)
    boundary = secrets.token_hex(16)

    def form() -> Iterator[bytes]:
        return _told(_form(openai_file(file, requests.endpoint), boundary, name), requests.size)

    uploaded = post_once(gateway, FILES, form, {"content-type": f"multipart/form-data; boundary={boundary}"})
    asked = {"input_file_id": uploaded["id"], "endpoint": requests.endpoint, "completion_window": "24h"}
    try:
        return post_once(gateway, OPENAI_BATCHES, lambda: msgspec.json.encode(asked), headers)
    except Refused:
        with contextlib.suppress(click.ClickException):
            gateway.delete(f"{FILES}/{uploaded['id']}")
        raise


def post_once(
    gateway: Gateway, path: str, body: Callable[[], bytes | Iterator[bytes]], headers: dict[str, str]
) -> dict[str, Any]:
    """What became of the body, which is sent again while the gateway is away: however often it came, it is done once.

    Raises Refused or Away.
    """
    pace, named = Pace(), {**headers, "idempotency-key": secrets.token_hex(16)}
    while True:
        try:
            return gateway.post(path, body(), named)
        except Away as trouble:
            pace.outlast(trouble)


def _form(content: Iterator[bytes], boundary: str, name: str) -> Iterator[bytes]:
    yield _PART.format(boundary=boundary, name=name.translate(_ESCAPED)).encode()
    yield from content
    yield f"\r\n--{boundary}--\r\n".encode()


def _told(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The pieces; how far they have been sent is told on a terminal."""
    if not sys.stderr.isatty():
        yield from pieces
        return
    with click.progressbar(length=size, label="sending", file=sys.stderr) as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))

"""What passes bodies of OpenAI's Responses API through to providers that speak it beside Chat Completions."""

from __future__ import annotations

from collections.abc import Mapping

from shared.chat import Usage
from shared.errors import ProviderError, Unsupported
from shared.jobs import Job
from shared.sse import FrameReader
from shared.wire.openai_responses import WIRE
from worker.providers.base import PassThrough, Reader, Row, StreamTap
from worker.providers.openai import OPENAI, responses_answer, responses_edit, responses_stream

_PATHS = {"chat": "/responses", "count_tokens": "/responses/input_tokens"}


class OpenAIResponses:
    """The functions of the `responses_*` modules in the shape of `PassThrough`."""

    wire = WIRE

    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:  # noqa: ARG002 - the protocol's
        """URL path below the row's base_url for `chat` or `count_tokens`.

        Raises:
            Unsupported: any other operation.
        """
        if operation not in _PATHS:
            raise Unsupported(f"The Responses API has no operation {operation!r}.", code="unsupported_operation")
        return _PATHS[operation]

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """Those of Chat Completions."""
        return OPENAI.headers(row, key, client)

    def edit(self, body: bytes, row: Row, model: str, operation: str = "chat") -> bytes:  # noqa: ARG002 - the protocol's
        """See `responses_edit.edit`."""
        return responses_edit.edit(body, model, operation)

    def relabel(self, body: bytes, job: Job, asked: bytes) -> bytes:
        """The answer under the gateway's own id, see `responses_answer.relabel`; a count as it came."""
        if job.operation != "chat":
            return body
        return responses_answer.relabel(WIRE, body, responses_answer.shown(job, asked))

    def failed(self, body: bytes, row: Row) -> ProviderError | None:
        """That of Chat Completions; a response that has failed is told by `relabel`."""
        return OPENAI.failed(body, row)

    def usage(self, body: bytes) -> Usage:
        """See `responses_answer.usage`."""
        return responses_answer.usage(body)

    def reader(self) -> Reader:
        """Server-sent events."""
        return FrameReader()

    def tap(self, row: Row, job: Job, asked: bytes) -> StreamTap:
        """See `responses_stream.Tap`."""
        return responses_stream.Tap(row.name, responses_answer.shown(job, asked))

    def error(self, row: Row, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """That of Chat Completions."""
        return OPENAI.error(row, status, headers, body)


OPENAI_RESPONSES: PassThrough = OpenAIResponses()

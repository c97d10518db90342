"""Embeddings at providers that have OpenAI's route for them beside a wire of their own.

https://ai.google.dev/gemini-api/docs/openai#embeddings
"""

from __future__ import annotations

from collections.abc import Mapping

from worker.providers.base import PassThrough, Row
from worker.providers.openai import OpenAI


class _Embeddings(OpenAI):
    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:
        """The route below the provider's own address."""
        return "/openai" + super().path(operation, model, stream=stream)

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """OpenAI's, whatever header the provider's own wire has for the key."""
        made = super().headers(row, "", client)
        return {**made, "authorization": f"Bearer {key}"} if key else made


OPENAI_EMBEDDINGS: PassThrough = _Embeddings()

"""The way that all properties of a file send their examples."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.unit.fuzz.pipeline import Way


@pytest.fixture(scope="module")
def way() -> Iterator[Way]:
    with asyncio.Runner() as runner:
        yield Way(runner)

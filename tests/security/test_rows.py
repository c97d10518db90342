"""The table of risks speaks of tests that there are."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from shared.ids import job_id, request_id
from tests.security.rows import ROWS, Row

ROOT = Path(__file__).resolve().parents[2]
RISKS = 24


@cache
def names_in(path: str) -> set[str]:
    """Names of the tests of a file."""
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_risk_has_its_row():
    assert [row.number for row in ROWS] == list(range(1, RISKS + 1))


@pytest.mark.parametrize("row", ROWS, ids=[str(row.number) for row in ROWS])
def test_a_risk_is_covered_by_tests_that_exist(row: Row):
    assert row.answer
    assert row.tests
    for test in row.tests:
        path, _, name = test.partition("::")
        assert name in names_in(path), test


def test_ids_cannot_be_guessed():
    made = [job_id() for _ in range(1000)]
    assert len({name[:8] for name in made}) > 990, "nothing of the time, nothing of a counter at the beginning"
    assert all(name[14] == "4" for name in made), "a random UUID, of 122 bits"
    assert len({request_id() for _ in range(1000)}) == 1000

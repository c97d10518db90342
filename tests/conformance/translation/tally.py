"""Counts the cells of the matrix as they pass."""

from collections import Counter

_CELLS: dict[str, Counter] = {}


def count(dialect, wire, outcome):
    _CELLS.setdefault(f"{dialect} on {wire}", Counter())[outcome] += 1


def lines():
    """One line per pair of dialect and wire, and their sum."""
    total = sum(_CELLS.values(), Counter())
    found = [f"translated, {pair}: {_told(counts)}" for pair, counts in _CELLS.items()]
    return [*found, f"translated, all cells: {_told(total)}"] if found else []


def _told(counts):
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))

"""In which order the keys that may serve a job are tried. Pure."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")


def in_turn(choices: Sequence[Choice], weights: Sequence[float]) -> list[Choice]:
    """The choices in a random order, each place drawn by weight; those of weight 0 only when there are no others."""
    return _ranked(choices, weights, [1.0 - random.random() for _ in choices])


def for_session(
    choices: Sequence[Choice], names: Sequence[str], weights: Sequence[float], session: str
) -> list[Choice]:
    """The same for every request of a session (rendezvous hashing, Thaler and Ravishankar, 1998).

    A choice that is not there moves only the sessions it had.
    """
    return _ranked(choices, weights, [_hashed(session, name) for name in names])


def _ranked(choices: Sequence[Choice], weights: Sequence[float], draws: Sequence[float]) -> list[Choice]:
    """By weighted draws without putting back (Efraimidis and Spirakis, 2006); each draw is above 0 and at most 1."""
    if len(choices) == 1:
        return list(choices)
    if not any(weights):
        weights = [1.0] * len(choices)
    ranked = [
        (math.log(draw) / weight, -index)
        for index, (draw, weight) in enumerate(zip(draws, weights, strict=True))
        if weight
    ]
    return [choices[-index] for _, index in sorted(ranked, reverse=True)]


def _hashed(session: str, name: str) -> float:
    number = hashlib.blake2b(f"{len(session)} {session} {name}".encode(), digest_size=8).digest()
    return (int.from_bytes(number) + 1) / 2.0**64

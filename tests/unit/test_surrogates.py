r"""Halves of surrogate pairs in what providers send: made whole, or replaced, and never the end of an answer."""

from __future__ import annotations

import json

import pytest

from shared.sse import Frame
from worker.providers.surrogates import Halves, whole

HIGH, LOW = r"\ud83d", r"\ude00"


def joined(*pieces: str) -> str:
    """The text of events with these pieces, written as in JSON."""
    halves = Halves()
    texts = []
    for piece in pieces:
        data = halves.whole(Frame("", b'{"text":"%b"}' % piece.encode(), b"")).data
        texts.append(json.loads(data)["text"])
    text = "".join(texts)
    text.encode()  # half of a pair cannot be
    return text


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (HIGH + LOW, "\U0001f600"),
        (r"\uD83D\uDE00", "\U0001f600"),
        (r"\ud55c\uae00", "\ud55c\uae00"),
        ("cut " + HIGH, "cut \ufffd"),
        (LOW + " end", "\ufffd end"),
        (f"{HIGH} {LOW}", "\ufffd \ufffd"),
        (HIGH + HIGH + LOW, "\ufffd\U0001f600"),
        (r"C:\\udata", r"C:\udata"),
        (r"\\\ud83d", "\\\ufffd"),
    ],
)
def test_a_half_is_replaced_and_everything_else_is_left_as_it_is(written: str, read: str) -> None:
    assert json.loads(whole(b'{"text":"%b"}' % written.encode()))["text"] == read


def test_a_pair_cut_in_two_by_a_stream_is_whole_again() -> None:
    assert joined("hi " + HIGH, LOW + " there") == "hi \U0001f600 there"


@pytest.mark.parametrize(
    ("pieces", "read"),
    [
        ((HIGH, "x"), "x"),
        (("x", LOW), "x\ufffd"),
        ((HIGH, "x " + LOW), "x \ufffd"),
        ((LOW, HIGH), "\ufffd"),
        ((HIGH + "x", "y"), "\ufffdxy"),
    ],
)
def test_a_half_without_the_other_breaks_no_stream(pieces: tuple[str, ...], read: str) -> None:
    assert joined(*pieces) == read

"""Depth, count and numbers of JSON, told from its bytes as a decoder would tell them from its values."""

import json
import random
import time

import pytest

from shared import json_bounds
from shared.errors import InvalidRequest
from shared.json_bounds import MOST_DEPTH, MOST_DIGITS, MOST_NESTS, check_json

TEXTS = ["", 'a"b[[{', "\\", '\\"[', "[{" * 200, "}]" * 200, '"', "\\\\]", "é\n{"]


def refusal(body: bytes) -> str:
    try:
        check_json(body)
    except InvalidRequest as error:
        assert str(error)
        return error.code or "?"
    return ""


def depth_of(value) -> int:
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth_of, inner), default=0)
    return 0


def a_value(rng, depth):
    """Nested so deep, with short things beside on the way."""
    value = rng.choice([*TEXTS, 1, None])
    for _ in range(depth):
        beside = [rng.choice([*TEXTS, 1, [], {}, [[{}]]]) for _ in range(rng.randint(0, 2))]
        inside = [*beside, value, *beside]
        value = inside if rng.random() < 0.5 else {f"{n}{rng.choice(TEXTS)}": one for n, one in enumerate(inside)}
    return value


@pytest.mark.parametrize("size", [64, 1 << 20])
def test_depth_is_what_a_decoder_finds(monkeypatch, size):
    """Wherever the bytes are cut, in strings full of brackets, quotes and backslashes too."""
    monkeypatch.setattr(json_bounds, "SLICE", size)
    refused = 0
    for seed in range(100):
        rng = random.Random(seed)
        value = a_value(rng, rng.choice([1, 5, MOST_DEPTH - 1, MOST_DEPTH, MOST_DEPTH + 1, MOST_DEPTH + 40]))
        body = json.dumps(value, ensure_ascii=seed % 2 == 0, indent=seed % 3 or None).encode()
        expected = "json_too_deep" if depth_of(value) > MOST_DEPTH else ""
        assert refusal(body) == expected, seed
        refused += bool(expected)
    assert 15 < refused < 85


def test_digits_are_counted_outside_of_strings_only():
    most, over = b"1" * MOST_DIGITS, b"1" * (MOST_DIGITS + 1)
    padding = b" " * 3_000
    for number, code in ((most, ""), (over, "number_too_long"), (b"-0." + over, "number_too_long")):
        assert refusal(b'{"a": %s%s}' % (number, padding)) == code
        assert refusal(padding + b'{"a": [%s]}' % number) == code
        assert refusal(b'{"a": "%s", "b\\"%s": 1}' % (number, number)) == ""


@pytest.mark.parametrize("at", range(0, json_bounds._STRIDE, 7))
def test_a_long_number_is_found_wherever_it_begins(at):
    assert refusal(b" " * at + b"9" * (MOST_DIGITS + 1)) == "number_too_long"


def test_the_exact_value_of_every_double_is_short_enough():
    assert refusal(f"[{5e-324:.1074f}, {1.7976931348623157e308:.0f}]".encode()) == ""


def test_so_many_lists_and_no_more():
    assert refusal(b"[" + b"[]," * (MOST_NESTS - 2) + b"[]]") == ""
    assert refusal(b"[" + b"[]," * (MOST_NESTS - 1) + b"[]]") == "json_too_large"


@pytest.mark.parametrize("body", [b"", b"[", b"]" * 1000, b'"' * 999, b"\\" * 999, b"}{" * 999, b"\xff" * 9999])
def test_what_is_no_json_is_for_the_decoder_to_refuse(body):
    assert refusal(body) == ""


@pytest.mark.parametrize(
    "body",
    [b"[" * 32_000_000, (b"[" * 120 + b"]" * 120) * 130_000, b"[]" * 16_000_000, b"1" * 32_000_000],
    ids=["opened", "nested", "flat", "digits"],
)
def test_what_is_made_to_be_dear_is_refused_in_bounded_time(body):
    began = time.process_time()
    assert refusal(body)
    took_s = time.process_time() - began
    print(f"{len(body) / 1e6:.0f} MB in {took_s * 1000:.0f} ms")
    assert took_s < 2

"""What headers tell of limits, in the forms that the vendors send."""

import pytest

from worker.limit_headers import Told, scarce

NOW_S = 1_800_000_000.0


def openai(limit, remaining, reset, kind="requests"):
    values = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{what}-{kind}": str(value) for what, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (openai(600, 100, "50s"), Told("requests", 600, 500, 100)),
        (openai(600, 0, "1m0s"), Told("requests", 600, 600, 100)),
        (openai(5000, 10, "59880ms"), Told("requests", 5000, 4990, 12)),
        (openai(14400, 7000, "12h20m0s"), Told("requests", 14400, 7400, 6000)),
        (openai(30000, 1000, "0", "tokens"), Told("tokens", 30000, 29000, 2)),
        (openai(1800, 3, None), Told("requests", 1800, 1797, 60_000 / 1800)),
        (openai(60, 1, str(int(NOW_S) + 59)), Told("requests", 60, 59, 1000)),
        (openai(60, -5, "60s"), Told("requests", 60, 60, 1000)),
    ],
    ids=["seconds", "minutes", "milliseconds", "a day's", "no reset", "none at all", "Unix time", "below nothing"],
)
def test_a_limit_of_which_less_than_half_is_left_is_told(headers, expected):
    assert scarce(headers, NOW_S) == [expected]


def test_anthropics_limits_are_told_by_kind():
    reset = "2027-01-15T08:01:00Z"  # a minute after NOW_S
    headers = {}
    for name, limit in (("requests", 50), ("input-tokens", 30_000), ("output-tokens", 8000)):
        for what, value in (("limit", limit), ("remaining", 0), ("reset", reset)):
            headers[f"anthropic-ratelimit-{name}-{what}"] = str(value)
    assert scarce(headers, NOW_S) == [
        Told("requests", 50, 50, 1200),
        Told("input", 30_000, 30_000, 2),
        Told("output", 8000, 8000, 7.5),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        openai(600, 300, "30s"),
        openai(600, 599, "100ms"),
        openai("many", "few", "soon"),
        openai(0, 0, "1s"),
        {"x-ratelimit-remaining-requests": "0"},
    ],
    ids=["none", "half is left", "plenty", "no numbers", "a limit of nothing", "without a limit"],
)
def test_plenty_and_what_cannot_be_read_tell_nothing(headers):
    assert scarce(headers, NOW_S) == []

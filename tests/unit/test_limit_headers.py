"""What headers tell of limits, in the forms that the vendors send."""

import re

import pytest

from shared.errors import Quota
from worker.limit_headers import Told, scarce, spent_s, untouched, used_up
from worker.limit_scripts import GATE

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
        (openai(14400, 7000, "12h20m0s"), Told("requests-day", 14400, 7400, 6000)),
        (openai(30000, 1000, "0", "tokens"), Told("tokens", 30000, 29000, 2)),
        (openai(1800, 3, None), Told("requests", 1800, 1797, 60_000 / 1800)),
        (openai(60, 1, str(int(NOW_S) + 59)), Told("requests", 60, 59, 1000)),
        (openai(60, -5, "60s"), Told("requests", 60, 60, 1000)),
    ],
    ids=["seconds", "minutes", "milliseconds", "a day's", "no reset", "none at all", "Unix time", "below nothing"],
)
def test_a_limit_of_which_less_than_half_is_left_is_told(headers, expected):
    assert scarce("openai", headers, NOW_S) == [expected]


@pytest.mark.parametrize("reset", ["2027-01-15T08:01:00Z", "2027-01-15T07:00:00Z", "2027-01-15T10:00:00Z"])
def test_anthropics_limits_are_told_by_kind_and_a_minutes_whatever_its_clock_says(reset):
    headers = {}
    for name, limit in (("requests", 50), ("input-tokens", 30_000), ("output-tokens", 8000)):
        for what, value in (("limit", limit), ("remaining", 0), ("reset", reset)):
            headers[f"anthropic-ratelimit-{name}-{what}"] = str(value)
    assert scarce("openai", headers, NOW_S) == [
        Told("requests", 50, 50, 1200),
        Told("input", 30_000, 30_000, 2),
        Told("output", 8000, 8000, 7.5),
    ]


def test_every_kind_that_headers_tell_is_one_that_the_workers_share():
    """What is stored under another name holds nobody back."""
    kinds = re.search(r"local KINDS = \{([^}]*)\}", GATE)
    shared = set(re.findall(r"'([\w-]+)'", kinds[1]))
    vendors = ("", "groq", "openrouter", "together")
    found = {
        one.kind
        for vendor in vendors
        for reset in ("1s", "30m", "12h")
        for one in scarce(vendor, _Whatever(reset), NOW_S)
    }
    assert {"requests-hour", "requests-day", "tokens-burst", "input", "output"} < found <= shared


class _Whatever(dict):
    """Headers of every name: one of a hundred is left until `reset`."""

    def __init__(self, reset):
        super().__init__()
        self.reset = reset

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        said = {"limit": "100", "remaining": "1", "reset": self.reset}
        return next((said[word] for word in name.split("-") if word in said), "")

    def get(self, name, default=None):
        return self[name] if name else default


@pytest.mark.parametrize(
    "headers",
    [
        {},
        openai(600, 300, "30s"),
        openai(600, 599, "100ms"),
        openai("many", "few", "soon"),
        openai(0, 0, "1s"),
        {"x-ratelimit-remaining-requests": "0"},
        openai("9" * 400, 1, "1s"),
        openai("9" * 5000, "9" * 5000, "1s"),
    ],
    ids=["none", "half is left", "plenty", "no numbers", "a limit of nothing", "without", "no limit's", "no number's"],
)
def test_plenty_and_what_cannot_be_read_tell_nothing(headers):
    assert scarce("openai", headers, NOW_S) == []


def told(**headers):
    """Headers by their names with underscores."""
    return {f"x-{name.replace('_', '-')}": str(value) for name, value in headers.items()}


@pytest.mark.parametrize(
    ("provider", "headers", "expected"),
    [
        ("groq", openai(14400, 100, "23h50m0s"), [Told("requests-day", 14400, 14300, 6000)]),
        ("groq", openai(30000, 10, "59.98s", "tokens"), [Told("tokens", 30000, 29990, 2)]),
        (
            "mistral",
            told(ratelimit_limit_req_minute=100, ratelimit_remaining_req_minute=3)
            | told(ratelimit_limit_req_10_second=60, ratelimit_remaining_req_10_second=1)
            | told(ratelimit_limit_tokens_minute=60_000, ratelimit_remaining_tokens_minute=0),
            [
                Told("requests-burst", 60, 59, 10_000 / 60),
                Told("requests", 100, 97, 600),
                Told("tokens", 60_000, 60_000, 1),
            ],
        ),
        (
            "together",
            told(ratelimit_limit=10, ratelimit_remaining=2, ratelimit_reset=1)
            | told(tokenlimit_limit=3000, tokenlimit_remaining=0),
            [Told("requests-burst", 10, 8, 100), Told("tokens-burst", 3000, 3000, 1 / 3)],
        ),
        ("together", openai(3000, 90, None, "tokens"), [Told("tokens-burst", 3000, 2910, 1 / 3)]),
        ("together", told(ratelimit_limit=30, ratelimit_remaining=59, ratelimit_reset=2), []),
        (
            "openrouter",
            told(ratelimit_limit=20, ratelimit_remaining=0, ratelimit_reset=int(NOW_S * 1000) + 31_500),
            [Told("requests", 20, 20, 3000)],
        ),
        (
            "openrouter",
            told(ratelimit_limit=50, ratelimit_remaining=0, ratelimit_reset=int(NOW_S * 1000) + 30_000_000),
            [],
        ),
        (
            "cerebras",
            told(
                ratelimit_limit_tokens_minute=60_000,
                ratelimit_remaining_tokens_minute=9,
                ratelimit_reset_tokens_minute=11.4,
            )
            | told(
                ratelimit_limit_requests_day=14_400,
                ratelimit_remaining_requests_day=1,
                ratelimit_reset_requests_day=33_011.4,
            ),
            [Told("tokens", 60_000, 59_991, 1)],
        ),
        (
            "fireworks",
            told(ratelimit_limit_tokens_prompt=60_000, ratelimit_remaining_tokens_prompt=0)
            | told(ratelimit_limit_tokens_generated=6000, ratelimit_remaining_tokens_generated=0),
            [Told("input", 60_000, 60_000, 1), Told("output", 6000, 6000, 10)],
        ),
        (
            "azure",
            openai(250, 9, 0) | {"x-ratelimit-renewalperiod-requests": "60"} | openai(-1, -1, 0, "tokens"),
            [Told("requests", 250, 241, 240)],
        ),
        ("azure", openai(None, 3, None), []),
        ("xai", openai(1800, 100, None), [Told("requests", 1800, 1700, 60_000 / 1800)]),
    ],
)
def test_every_vendor_is_read_in_its_own_form(provider, headers, expected):
    assert scarce(provider, headers, NOW_S) == expected


def test_the_end_of_a_window_of_which_nothing_is_left_says_when_to_come_back():
    day = told(ratelimit_limit=50, ratelimit_remaining=0, ratelimit_reset=int(NOW_S * 1000) + 30_000_000)
    assert spent_s("openrouter", day, NOW_S) == pytest.approx(30_000)
    minute = told(ratelimit_remaining_tokens_minute=0, ratelimit_reset_tokens_minute="11.38")
    hour = told(ratelimit_remaining_requests_hour=5, ratelimit_reset_requests_hour="900")
    assert spent_s("cerebras", minute | hour, NOW_S) == pytest.approx(11.38)
    assert spent_s("openai", openai(60, 0, "60s"), NOW_S) is None, "one is back long before"
    assert spent_s("mistral", told(ratelimit_remaining_req_minute=0), NOW_S) is None


def test_a_limit_that_the_body_of_a_refusal_names_is_a_minutes_and_used_up():
    quotas = (Quota("requests", 600), Quota("input", 1_000_000))
    assert used_up(quotas) == [Told("requests", 600, 600, 100), Told("input", 1_000_000, 1_000_000, 0.06)]


def test_what_is_a_seconds_is_not_taken_for_a_minutes_where_the_size_of_a_request_is_judged():
    headers = openai(3000, 3000, None, "tokens")
    assert untouched("openai", headers) == [("tokens", 3000)]
    assert untouched("together", headers) == [("tokens-burst", 3000)]


@pytest.mark.parametrize("reset", ["inf", "1e999", "nan", "9" * 400 + "s", "0001-01-01T00:00:00", "soon"])
def test_an_end_that_is_no_time_is_not_told_and_spoils_nothing(reset):
    headers = told(ratelimit_limit=20, ratelimit_remaining=0, ratelimit_reset=reset)
    assert not spent_s("openrouter", headers, NOW_S)
    assert scarce("openrouter", headers, NOW_S) == [Told("requests", 20, 20, 3000)]


@pytest.mark.parametrize("limit", ["9" * 5000, "-1", "0", "many"])
def test_what_is_no_limit_refuses_no_request_by_its_size(limit):
    assert untouched("openai", openai(limit, limit, None, "tokens")) == []

"""How long a busy target is left alone."""

import pytest

from worker import pauses
from worker.pauses import FIRST_S, LONGEST_S, LONGEST_TOLD_S, Pauses

BUSY, OTHER = "anthropic/busy", "anthropic/other"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(pauses, "time", made)
    return made


def waves(clock, waits, count, told_s=None):
    """The lengths of that many pauses, each refused again as soon as it is over."""
    lengths = []
    for _ in range(count):
        waits.begin(BUSY, told_s)
        lengths.append(waits.left_s(BUSY))
        clock.now += lengths[-1]
    return lengths


def test_nothing_waits_for_a_target_that_has_not_refused(clock):
    waits = Pauses()
    waits.begin(BUSY, None)
    assert (waits.left_s(OTHER) <= 0, waits.left_s(BUSY)) == (True, FIRST_S)
    clock.now += FIRST_S
    assert waits.left_s(BUSY) <= 0


def test_pauses_double_up_to_the_longest_while_everything_is_refused(clock):
    assert waves(clock, Pauses(), 9) == [0.5, 1, 2, 4, 8, 16, 32, LONGEST_S, LONGEST_S]


def test_calls_that_were_on_their_way_together_count_as_one_refusal(clock):
    waits = Pauses()
    for _ in range(32):
        waits.begin(BUSY, None)
        clock.now += 0.001
    assert waits.left_s(BUSY) == pytest.approx(FIRST_S - 0.001)
    clock.now += FIRST_S
    waits.begin(BUSY, None)
    assert waits.left_s(BUSY) == 2 * FIRST_S


def test_an_answer_makes_the_next_refusal_the_first_again(clock):
    waits = Pauses()
    waves(clock, waits, 5)
    waits.forget(BUSY)
    assert waves(clock, waits, 1) == [FIRST_S]
    waits.begin(BUSY, None)
    waits.forget(BUSY)
    waits.begin(BUSY, None)  # it was sent before the answer came
    assert waits.left_s(BUSY) == 2 * FIRST_S


def test_what_the_provider_says_is_the_least_and_is_believed_up_to_ten_minutes(clock):
    assert waves(clock, Pauses(), 4, told_s=1.0) == [1, 1, 2, 4]
    assert waves(clock, Pauses(), 1, told_s=1e9) == [LONGEST_TOLD_S]
    assert waves(clock, Pauses(), 1, told_s=0.0) == [FIRST_S]

import itertools

import pytest

from shared.jobs import TRANSITIONS, State

EVENTS = ("claim", "cancel", "expire", "succeed", "fail", "retry", "hand_back", "lose")
LEGAL = {
    ("queued", "claim"): "running",
    ("queued", "cancel"): "cancelled",
    ("queued", "expire"): "expired",
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
    ("running", "cancel"): "cancelled",
    ("running", "expire"): "expired",
    ("running", "retry"): "queued",
    ("running", "hand_back"): "queued",
    ("running", "lose"): "queued",
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, EVENTS)))
def test_every_pair_of_state_and_event_leads_where_the_drawing_says(state, event):
    assert TRANSITIONS.get((state, event)) == LEGAL.get((state.value, event))


@pytest.mark.parametrize("state", list(State))
def test_a_final_state_has_no_way_out(state):
    assert state.final == (not any(start is state for start, _ in TRANSITIONS))

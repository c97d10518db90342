"""The bounds of lanes: what each may hold, for workers of any size."""

from collections import Counter

import pytest

from shared.lanes import Lane
from worker.lane_slots import LaneSlots, Room

LOWER = (Lane.CHORES, Lane.ASYNC, Lane.BATCH)


@pytest.mark.parametrize(
    ("slots", "batch_slots", "room"),
    [
        (1, 4, Room(1, 1, 1, 1, 1)),
        (2, 4, Room(1, 1, 1, 1, 1)),
        (3, 4, Room(1, 1, 1, 1, 2)),
        (4, 9, Room(1, 1, 1, 2, 3)),
        (8, 4, Room(2, 5, 4, 6, 7)),
        (8, 0, Room(2, 6, 0, 6, 7)),
        (200, 4, Room(50, 174, 4, 175, 187)),
        (200, 500, Room(50, 174, 174, 175, 187)),
    ],
)
async def test_a_worker_keeps_an_eighth_of_its_slots_from_async_jobs_and_batches(slots, batch_slots, room):
    assert LaneSlots(slots, batch_slots).room() == room


@pytest.mark.parametrize("slots", [3, 4, 7, 8, 16, 200, 1000])
@pytest.mark.parametrize("batch_slots", [0, 1, 4, 5000])
async def test_whatever_is_claimed_first_a_request_finds_a_slot_and_so_does_a_chore(slots, batch_slots):
    for order in (LOWER, LOWER[::-1], (Lane.ASYNC, Lane.BATCH, Lane.CHORES)):
        bounds, held = LaneSlots(slots, batch_slots), Counter()
        for lane in order:
            while lane in bounds.open_lanes():
                bounds.take(f"job-{held.total()}", lane)
                held[lane] += 1
                assert held.total() < slots
        assert bounds.open_lanes() == (Lane.INTERACTIVE,)
        assert held[Lane.CHORES] >= 1


async def test_who_waits_is_told_of_room_in_a_lane_that_had_none_and_of_nothing_else():
    bounds = LaneSlots(8, 1)
    bounds.take("part", Lane.BATCH)
    for number in range(5):
        bounds.take(f"async-{number}", Lane.ASYNC)
    bounds.take("request", Lane.INTERACTIVE)
    assert bounds.open_lanes() == (Lane.INTERACTIVE, Lane.CHORES)
    bounds.give("request")
    assert not bounds.freed.done()
    bounds.give("async-0")
    assert bounds.freed.done()
    assert bounds.open_lanes() == (Lane.INTERACTIVE, Lane.CHORES, Lane.ASYNC)
    bounds.give("part")
    assert bounds.freed.done()
    assert bounds.open_lanes() == tuple(Lane)
    bounds.give("async-1")
    assert not bounds.freed.done(), "no lane was waited for"


async def test_a_part_that_is_only_written_out_makes_room_for_one_more_and_for_no_more_than_that():
    bounds = LaneSlots(8, 1)
    bounds.take("a", Lane.BATCH)
    bounds.wind_up("a")
    assert bounds.room().batch == 1
    bounds.take("b", Lane.BATCH)
    bounds.wind_up("b")
    assert bounds.room().batch == 0
    bounds.give("a")
    assert bounds.room().batch == 1

"""Bytes that are given out to many, and come back."""

from __future__ import annotations

import asyncio

import pytest

from worker.room import Room, kept


async def taking(room: Room, size: int, until: asyncio.Event, entered: list[int]) -> None:
    async with room.taken(size):
        entered.append(size)
        await until.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def free(room: Room, size: int) -> bool:
    """Whether so much is free now."""
    if not room.take_now(size):
        return False
    room.give(size)
    return True


async def test_no_more_is_taken_than_there_is_and_who_came_first_is_served_first() -> None:
    room, entered = Room(10), list[int]()
    first, rest = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(taking(room, 6, first, entered))]
    await settle()
    tasks += [asyncio.create_task(taking(room, size, rest, entered)) for size in (5, 1, 4)]
    await settle()
    assert entered == [6]  # 1 would fit, but 5 was there before it
    first.set()
    await settle()
    assert entered == [6, 5, 1, 4]
    rest.set()
    await asyncio.gather(*tasks)
    assert await free(room, 10)


async def test_what_is_more_than_all_takes_all() -> None:
    room = Room(10)
    async with room.taken(11) as hold:
        assert hold.size == 10
        assert hold.grow(50)
        assert not await free(room, 1)
    assert await free(room, 10)


async def test_a_hold_grows_only_as_far_as_there_is_room() -> None:
    room = Room(10)
    async with room.taken(4) as hold, room.taken(3):
        assert hold.grow(7)
        assert hold.grow(2)
        assert hold.size == 7
        assert not hold.grow(8)
        hold.give(5)
        assert await free(room, 5)
    assert await free(room, 10)


async def test_who_stops_waiting_makes_room_for_the_next() -> None:
    room, entered, end = Room(10), list[int](), asyncio.Event()
    async with room.taken(6):
        waiting = asyncio.create_task(taking(room, 10, end, entered))
        await settle()
        behind = asyncio.create_task(taking(room, 4, end, entered))
        await settle()
        assert entered == []
        waiting.cancel()
        await settle()
        assert entered == [4]
    end.set()
    await behind
    assert await free(room, 10)


async def test_who_is_cancelled_in_the_moment_of_getting_it_gives_it_back() -> None:
    room, end = Room(10), asyncio.Event()
    async with room.taken(10):
        waiting = asyncio.create_task(taking(room, 10, end, []))
        await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await free(room, 10)


async def test_what_is_kept_comes_back_at_the_end_of_the_attempt() -> None:
    room = Room(10)

    async def inner() -> None:
        async with room.taken(4):
            pass

    with kept():
        await inner()
        await asyncio.create_task(inner())  # whatever task takes it
        assert not await free(room, 3)
        with pytest.raises(RuntimeError):
            async with room.taken(2):
                raise RuntimeError
        assert await free(room, 2)
    assert await free(room, 10)


async def test_attempts_keep_apart_what_they_hold() -> None:
    room, ends = Room(10), [asyncio.Event(), asyncio.Event()]

    async def attempt(end: asyncio.Event) -> None:
        with kept():
            async with room.taken(5):
                pass
            await end.wait()

    tasks = [asyncio.create_task(attempt(end)) for end in ends]
    await settle()
    assert not await free(room, 1)
    ends[0].set()
    await tasks[0]
    assert await free(room, 5)
    ends[1].set()
    await tasks[1]
    assert await free(room, 10)

"""What workers know together of a provider's limits: two of them, on a real server."""

import asyncio
import time

import pytest

from shared.chat import Usage
from shared.errors import AuthFailed, Overloaded, Quota, RateLimited, Rejected, TimedOut, Unreachable
from shared.lanes import Lane
from shared.provider_settings import ProviderKey, ProviderSettings, RateLimits
from shared.settings import Settings
from tests.integration.conftest import until
from tests.integration.test_queue import a_job
from worker import fitness, ramp
from worker import limits as module
from worker.gates import gate_of
from worker.limit_endings import FAILS
from worker.limits import Limits, Pass
from worker.ramp import FIRST
from worker.routing import Router
from worker.shut import Shut

BODY = b'{"max_tokens": 400, "text": "' + b"x" * 371 + b'"}'  # 100 tokens in, 100 out


@pytest.fixture
async def two(store):
    pair = Limits(store), Limits(store)
    for one in pair:
        one.open()
    yield pair
    for one in pair:
        await one.close()


def targets(*keys, concurrency=0, **limits):
    made = tuple(ProviderKey(name=name, value="sk", rate_limits=RateLimits(**limits)) for name in keys or ("a",))
    provider = ProviderSettings(name="openai", keys=made, concurrency=concurrency)
    return Router(Settings(providers={"openai": provider})).targets("openai", "m")


async def admit(limits, choice, job=None, most_s=None, body=BODY):
    return await limits.admit(job or a_job(lane=Lane.ASYNC), body, choice, most_s=most_s)


async def heard(limits, target):
    """The other worker's news have come."""
    await until(lambda: limits._news.watches(gate_of(target).name))


def error(kind, **facts):
    return kind("x", provider="openai", **facts)


async def test_through_a_gate_of_which_nothing_is_known_a_call_costs_no_look_at_redis(two):
    [target] = targets()
    two[0]._store = None
    leave = await admit(two[0], [target])
    two[0].settle(leave, Usage(input_tokens=5), {"x-ratelimit-remaining-requests": "99"})
    assert (type(leave), leave.call) == (Pass, "")


async def test_a_configured_rate_holds_for_all_workers_together(two):
    [target] = targets(requests_per_minute=12)  # two at once, then one in five seconds
    leaves = [await admit(two[turn % 2], [target]) for turn in range(4)]
    assert [isinstance(leave, Pass) for leave in leaves] == [True] * 2 + [False] * 2
    assert [leave.why for leave in leaves[2:]] == ["rate_limited"] * 2
    assert leaves[2].wait_s == pytest.approx(5, abs=4)
    assert leaves[3].wait_s == pytest.approx(10, abs=4)


async def test_a_turn_that_was_promised_is_kept_and_not_paid_twice(two):
    [target] = targets(requests_per_minute=600)
    while isinstance(await admit(two[0], [target]), Pass):
        pass
    job = a_job(lane=Lane.ASYNC)
    first = await admit(two[0], [target], job)
    again = await admit(two[1], [target], job)
    assert again.wait_s <= first.wait_s
    await until(lambda: passed(two[1], target, job), first.wait_s + 10)


async def passed(limits, target, job):
    leave = await admit(limits, [target], job)
    if isinstance(leave, Pass):
        limits.release(leave)
    return isinstance(leave, Pass)


async def test_the_lane_of_those_who_wait_in_person_goes_first(two):
    [target] = targets(requests_per_minute=60)
    for _ in range(10):
        await admit(two[0], [target])
    batch = [await admit(two[0], [target], a_job(lane=Lane.BATCH)) for _ in range(30)]
    person = await admit(two[0], [target], a_job())
    assert person.wait_s < 4 < max(leave.wait_s for leave in batch)


async def test_those_who_wait_are_told_to_come_one_after_another(two):
    [target] = targets(requests_per_minute=600)
    leaves = [await admit(two[0], [target]) for _ in range(300)]
    waits = [leave.wait_s for leave in leaves if isinstance(leave, Shut)]
    in_a_second = [sum(second <= wait < second + 1 for wait in waits) for second in range(30)]
    assert max(in_a_second) <= 30, "ten for their turn, ten to reserve one, and what the asking itself took"


async def test_tokens_are_taken_by_estimate_and_corrected_by_what_was_used(two):
    [target] = targets(tokens_per_minute=5400)  # 900 at once, of which the fifth of 201 wants a hundred more
    leaves = [await admit(two[0], [target]) for _ in range(6)]
    assert [isinstance(leave, Pass) for leave in leaves] == [True] * 4 + [False] * 2
    assert (leaves[0].input, leaves[0].output) == (101, 100)
    for leave in leaves[:4]:
        two[0].settle(leave, Usage(input_tokens=1, output_tokens=1), {})
    await until(lambda: passed(two[1], target, a_job()))


async def test_a_retry_after_holds_at_once_for_workers_that_did_not_see_the_429(two):
    [target] = targets(requests_per_minute=6000)
    leave = await admit(two[0], [target])
    await two[0].trouble(leave, error(RateLimited, retry_after_s=60), {})
    refused = await asyncio.gather(*(admit(two[1], [target]) for _ in range(50)))
    assert {one.why for one in refused} == {"rate_limited"}
    assert min(one.wait_s for one in refused) > 30


async def test_the_first_429_of_a_model_nobody_watched_is_heard_by_all(two):
    [target] = targets()
    leave = await admit(two[0], [target])
    await two[0].trouble(leave, error(RateLimited, retry_after_s=3), {})
    await heard(two[1], target)
    assert isinstance(await admit(two[1], [target]), Shut)


async def test_a_worker_that_starts_later_knows_what_the_others_know(store, two):
    [target] = targets()
    await two[0].trouble(await admit(two[0], [target]), error(Overloaded), {})
    late = Limits(store)
    late.open()
    assert (await admit(late, [target])).why == "provider_overloaded", "its very first call"
    await late.close()


async def test_a_limit_is_learnt_when_half_of_it_is_used(two):
    [target] = targets()
    told = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "2"}
    two[0].settle(await admit(two[0], [target]), None, told)
    await heard(two[1], target)
    leaves = [await admit(two[1], [target]) for _ in range(8)]
    assert 2 <= sum(isinstance(leave, Pass) for leave in leaves) <= 5


async def test_a_limit_that_only_the_body_of_a_429_names_is_learnt(two):
    [target] = targets()
    limited = error(RateLimited, retry_after_s=0.1)
    limited.quotas = (Quota("requests", 600),)
    await two[0].trouble(await admit(two[0], [target]), limited, {})
    await until(lambda: passed(two[0], target, a_job()))
    await heard(two[1], target)
    waits = [leave.wait_s for leave in [await admit(two[1], [target]) for _ in range(20)] if isinstance(leave, Shut)]
    assert 0.5 < max(waits) < 2.5, "ten a second, less what the asking itself took"


async def test_a_429_that_tells_the_end_of_its_window_in_a_header_of_its_own_holds_until_then(two):
    [target] = targets()
    limited = error(RateLimited)
    told = {"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "31.5"}
    await two[0].trouble(await admit(two[0], [target]), limited, told)
    assert limited.retry_after_s == 31.5
    await heard(two[1], target)
    assert 20 < (await admit(two[1], [target])).wait_s < 33


async def test_the_worker_that_has_seen_a_429_sends_no_more_although_nobody_has_told_it_yet(two):
    [target] = targets()
    leave = await admit(two[0], [target])
    seen = asyncio.create_task(two[0].trouble(leave, error(RateLimited, retry_after_s=3), {}))
    await asyncio.sleep(0)
    assert two[0]._news.watches(gate_of(target).name)
    await seen
    assert isinstance(await admit(two[0], [target]), Shut)


async def test_after_a_pause_calls_do_not_come_all_at_once(store, two):
    [target] = targets(requests_per_minute=600)
    leave = await admit(two[0], [target])
    await two[0].trouble(leave, error(RateLimited, retry_after_s=0.3), {})
    await until(lambda: passed(two[0], target, a_job()))
    ended = float(await store.call("HGET", f"hermod:gate:{gate_of(target).name}", "pause")) / 1000
    leaves = [await admit(two[0], [target]) for _ in range(20)]
    assert sum(isinstance(one, Pass) for one in leaves) <= 1 + 10 * (time.time() - ended)


async def test_pauses_nobody_gave_a_figure_for_double_until_a_call_succeeds(store, two):
    [target] = targets()
    lengths = []
    for _ in range(3):
        leave = Pass(target, gate_of(target))
        two[0]._go(leave)
        await two[0].trouble(leave, error(Overloaded), {})
        refused, ends = await store.call("HMGET", f"hermod:gate:{gate_of(target).name}", "refused", "pause")
        lengths.append((float(ends) - float(refused)) / 1000)
        await heard(two[0], target)
        await until(lambda: passed(two[0], target, a_job()))
    assert lengths == [pytest.approx(0.5, abs=0.3), pytest.approx(1, abs=0.4), pytest.approx(2, abs=0.5)]


async def test_a_refused_key_is_set_aside_for_all_and_another_one_serves(two):
    first, second = targets("a", "b")
    await two[0].trouble(await admit(two[0], [first]), error(AuthFailed), {})
    assert not two[0].usable(first)
    await until(lambda: not two[1].usable(first))
    leave = await admit(two[1], [first, second])
    assert leave.target.key.name == "b"
    shut = await admit(two[1], [first])
    assert shut.why == "key_set_aside"
    assert 3 < shut.wait_s <= 5


async def test_a_key_that_was_set_aside_is_tried_by_one_call_and_serves_again_when_that_succeeds(store, two):
    [target] = targets()
    await two[0].trouble(await admit(two[0], [target]), error(AuthFailed), {})
    await until(lambda: not two[1].usable(target))
    await over(store, two, target)
    leaves = [await admit(one, [target]) for one in (two[0], two[1], two[0])]
    assert [isinstance(leave, Pass) for leave in leaves] == [True, False, False]
    assert leaves[1].why == "key_set_aside"
    two[0].settle(leaves[0], None, {})
    await until(lambda: passed(two[1], target, a_job()))
    await until(lambda: passed(two[1], target, a_job()))


async def over(store, two, target):
    """The time for which the gate is left alone has passed."""
    await store.call("HSET", f"hermod:gate:{gate_of(target).name}", "open", 1)
    for one in two:
        one._news._shut.clear()


async def test_a_probe_that_fails_doubles_the_time(store, two):
    [target] = targets()
    await two[0].trouble(await admit(two[0], [target]), error(AuthFailed), {})
    await until(lambda: not two[1].usable(target))
    await over(store, two, target)
    await two[0].trouble(await admit(two[0], [target]), error(AuthFailed), {})
    shut = await admit(two[0], [target])
    assert 8 < shut.wait_s <= 10


async def test_a_model_that_fails_many_times_in_a_row_is_left_alone(two):
    [target] = targets()
    for _ in range(FAILS):
        leave = Pass(target, gate_of(target))
        two[0]._go(leave)
        await two[0].trouble(leave, error(Unreachable), {})
    await until(lambda: not two[1].usable(target))
    assert (await admit(two[1], [target])).why == "provider_failing"


async def test_what_the_provider_finds_wrong_with_a_request_is_no_trouble(store, two):
    [target] = targets()
    await two[0].trouble(await admit(two[0], [target]), error(Rejected, upstream_status=400), {})
    assert await store.call("KEYS", "hermod:gate*") == []


async def test_calls_at_once_are_bounded_over_all_workers_and_the_slots_come_back(two):
    choice = targets("a", "b", concurrency=2)
    leaves = [await admit(two[turn % 2], choice) for turn in range(3)]
    assert [isinstance(leave, Pass) for leave in leaves] == [True, True, False]
    assert leaves[2].why == "provider_busy"
    two[0].settle(leaves[0], None, {})
    await until(lambda: passed(two[1], choice[0], a_job()))
    two[1].release(leaves[1])
    await until(lambda: passed(two[1], choice[0], a_job()))


async def test_the_slots_of_a_dead_worker_come_back_and_those_of_a_slow_call_stay(store, monkeypatch):
    monkeypatch.setattr(module, "LEASE_S", 3.0)
    monkeypatch.setattr(module, "CHORES_S", 0.05)
    dead, alive, other = Limits(store), Limits(store), Limits(store)
    alive.open()
    choice = targets(concurrency=2)
    assert isinstance(await admit(dead, choice), Pass)
    assert isinstance(await admit(alive, choice), Pass)
    assert isinstance(await admit(other, choice), Shut)
    await until(lambda: passed(other, choice[0], a_job()))
    assert isinstance(await admit(alive, choice), Shut)
    await alive.close()


async def test_timeouts_and_overloads_halve_the_calls_at_once_and_successes_bring_them_back(store, two):
    [target] = targets(requests_per_minute=60_000)
    leaves = [await admit(two[0], [target]) for _ in range(16)]
    await two[0].trouble(leaves[0], error(TimedOut), {})
    key = f"hermod:gate:{gate_of(target).name}"
    assert 7 <= float(await store.call("HGET", key, "window")) <= 8
    assert (await admit(two[1], [target])).why == "provider_busy"
    for leave in leaves[1:]:
        two[0].settle(leave, None, {})
    await until(lambda: grown(store, key))


async def grown(store, key):
    return float(await store.call("HGET", key, "window")) > 9


async def test_a_job_that_can_go_elsewhere_gets_no_turn_beyond_its_patience(two):
    [target] = targets(requests_per_minute=60)
    for _ in range(10):
        await admit(two[0], [target])
    near = await admit(two[0], [target], most_s=3.0)
    assert near.wait_s <= 1.1
    for _ in range(10):
        await admit(two[0], [target])
    far = await admit(two[0], [target], most_s=3.0)
    assert far.wait_s > 3


async def test_a_burst_through_a_gate_of_which_nothing_is_known_follows_its_first_calls(two):
    [target] = targets()
    burst = [asyncio.create_task(admit(two[0], [target])) for _ in range(100)]
    await until(lambda: len(going(two[0], target)) >= FIRST)
    assert len(going(two[0], target)) < 50
    leaves = await asyncio.wait_for(asyncio.gather(*burst), 60)
    assert all(isinstance(leave, Pass) and not leave.call for leave in leaves)


async def test_good_answers_let_a_burst_go_on_at_once(two, monkeypatch):
    monkeypatch.setattr(ramp, "GROWS_S", 3600.0)  # by the clock it would take hours
    [target] = targets()
    burst = [asyncio.create_task(admit(two[0], [target])) for _ in range(100)]
    answered = 0
    while answered < len(burst):
        await until(lambda: going(two[0], target))
        flying = list(going(two[0], target).values())
        assert len(flying) <= FIRST + 1 + answered, "the clock lets one go at first; then one more for each answer"
        for leave in flying:
            two[0].settle(leave, None, {})
        answered += len(flying)
    await asyncio.gather(*burst)


async def test_a_call_that_gives_up_in_the_line_holds_up_no_other(two, monkeypatch):
    monkeypatch.setattr(ramp, "GROWS_S", 3600.0)
    [target] = targets()
    burst = [asyncio.create_task(admit(two[0], [target])) for _ in range(FIRST + 3)]
    await until(lambda: len(going(two[0], target)) >= FIRST)
    given_up, *behind = [task for task in burst if not task.done()][-2:]
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    two[0].settle(next(iter(going(two[0], target).values())), None, {})
    await asyncio.wait_for(asyncio.gather(*behind), 60)


def going(limits, target):
    return limits._flying.get(gate_of(target).name, {})


async def test_a_burst_stops_at_the_first_429_and_what_is_on_its_way_counts(store, two):
    [target] = targets()
    burst = [asyncio.create_task(admit(two[0], [target])) for _ in range(1000)]
    await until(lambda: going(two[0], target))
    first = next(iter(going(two[0], target).values()))
    await two[0].trouble(first, error(RateLimited, retry_after_s=3), {})
    leaves = await asyncio.wait_for(asyncio.gather(*burst), 60)
    passed = [leave for leave in leaves if isinstance(leave, Pass)]
    assert FIRST <= len(passed) < 500, "by the clock so many would go in two seconds"
    assert {leave.why for leave in leaves if isinstance(leave, Shut)} == {"rate_limited"}
    calls = f"hermod:calls:{gate_of(target).name}"
    await until(lambda: has(store, calls, len(passed) - 1))
    for leave in passed:
        if leave is not first:
            two[0].release(leave)
    await until(lambda: has(store, calls, 0))


async def has(store, key, count):
    return await store.call("ZCARD", key) == count


async def test_a_gate_in_use_holds_nothing_up(two):
    [target] = targets()
    for _ in range(20):
        leaves = await asyncio.gather(*(admit(two[0], [target]) for _ in range(40)))
        for leave in leaves:
            two[0].settle(leave, None, {})
    took_s = []
    for _ in range(10):  # the quickest: the others tell of the machine
        begun = time.monotonic()
        leaves = await asyncio.gather(*(admit(two[0], [target]) for _ in range(40)))
        took_s.append(time.monotonic() - begun)
        for leave in leaves:
            two[0].settle(leave, None, {})
    assert min(took_s) < 0.1


async def test_the_faster_and_sounder_key_is_preferred_by_every_worker(two):
    fast, slow = targets("fast", "slow")
    for target, ms in ((fast, 10), (slow, 1000)):
        for _ in range(30):
            two[0]._fitness.note(gate_of(target).name, ms, failed=target is slow)
    await two[0]._fitness.exchange()
    for one in (fast, slow):
        two[1]._fitness.note(gate_of(one).name, 10, failed=False)
    await two[1]._fitness.exchange()
    for limits in two:
        weights = limits.weights([fast, slow])
        assert weights[0] > 3 * weights[1]


async def test_of_two_providers_that_serve_a_model_the_sounder_one_is_preferred_by_every_worker(two):
    key = (ProviderKey(name="a", value="sk", models=("m",)),)
    providers = {name: ProviderSettings(name=name, keys=key) for name in ("openai", "groq")}
    router = Router(Settings(providers=providers))
    assert router.also_at(a_job(model="m"), "openai", "m") == ("groq",)
    choice = [*router.targets("openai", "m"), *router.targets("groq", "m")]
    for _ in range(FAILS - 1):
        await two[0].trouble(await admit(two[0], choice[:1] * 2), error(Unreachable), {})
        two[1].settle(await admit(two[1], choice[1:] * 2), None, {})
    for limits in (two[0], two[1], two[0]):
        await limits._fitness.exchange()
    two[1]._fitness.note(gate_of(choice[0]).name, 10, failed=True)
    await two[1]._fitness.exchange()
    for limits in two:
        assert limits.weights(choice)[1] > 3 * limits.weights(choice)[0]


async def test_models_that_clients_made_up_fill_no_memory(two, monkeypatch):
    """Of the keys' health, what was known may be lost by it: it is seen again."""
    monkeypatch.setattr(fitness, "MOST_GATES", 50)
    for round_ in range(4):
        for number in range(40):
            two[0]._fitness.note(f"p|k|{round_} {number}", 10, failed=False)
        await two[0]._fitness.exchange()
    assert len(two[0]._fitness._known) <= 50 + 40

"""What the manifests promise of running pods: ready in time, gone in time, nothing lost on the way."""

import asyncio
import os
import time
from pathlib import Path

import anthropic
import pytest
import redis

from tests.contract.process import eventually
from tests.contract.wire import ask
from tests.deploy.balancer import Balancer
from tests.deploy.manifests import rendered
from tests.deploy.pods import VIRTUAL_KEY, Cluster
from tests.deploy.traffic import Traffic

JOBS = 300
SLOW = "sim-latency-1500+words-5"
RATE_ASKED = os.environ.get("HERMOD_TRAFFIC_PER_S")
PER_S = float(RATE_ASKED or 50)
"""Requests of the clients; what two cores carry whatever else runs on them, unless a rate is asked for."""


@pytest.fixture
def cluster(built, server, tmp_path):
    """Starts the production overlay; keywords change the section `worker` of its configuration."""
    opened = []

    def start(**worker):
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        opened.append(Cluster(tmp_path, built, rendered("production"), server.url, **worker))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def submitted(api, number):
    client = anthropic.Anthropic(base_url=f"{api.url}/anthropic", api_key=VIRTUAL_KEY)
    with client:
        return [
            client.messages.create(
                model=SLOW,
                max_tokens=9,
                messages=[{"role": "user", "content": f"question {count}"}],
                extra_headers={"x-bf-async": "true"},
            ).id
            for count in range(number)
        ]


def states(api, ids):
    headers = {"x-bf-vk": VIRTUAL_KEY}
    return [ask(api.url, "GET", f"/v1/jobs/{job}", headers=headers).json["status"] for job in ids]


def test_a_pod_sees_the_secrets_it_was_given_and_no_providers_key_is_in_the_api(cluster):
    running = cluster()
    api, worker = running.start("api").until_ready(), running.start("worker").until_ready()

    def environment(pod):
        return Path(f"/proc/{pod.process.pid}/environ").read_bytes()

    assert b"ANTHROPIC_API_KEY=sk-simulated" in environment(worker)
    assert b"sk-simulated" not in environment(api)
    question = {"model": "sim-words-4", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello?"}]}
    assert ask(api.url, "POST", "/anthropic/v1/messages", question).status == 401, "no virtual key, no answer"
    answer = ask(api.url, "POST", "/anthropic/v1/messages", question, {"x-bf-vk": VIRTUAL_KEY})
    assert answer.status == 200


def test_an_outage_of_redis_makes_pods_unready_and_kills_none(cluster, server):
    running = cluster()
    pods = [running.start(component).until_ready() for component in ("api", "worker")]
    server.stop()
    try:
        for pod in pods:
            eventually(lambda pod=pod: not pod.answers("readinessProbe"), 60, "it is still ready")
            assert pod.answers("livenessProbe")
    finally:
        server.start()
    for pod in pods:
        eventually(lambda pod=pod: pod.answers("readinessProbe"), 60, "it is not ready again")


@pytest.mark.parametrize("grace_s", [300, 1], ids=["calls may end", "calls are handed back"])
def test_a_worker_that_is_told_to_stop_under_load_leaves_in_time_and_fails_no_job(cluster, grace_s):
    running = cluster(grace_s=grace_s, slots=100)
    api = running.start("api").until_ready()
    leaving, staying = (running.start("worker").until_ready() for _ in range(2))
    ids = submitted(api, JOBS)
    eventually(lambda: states(api, ids[:1]) != ["queued"], 60, "no job runs")
    leaving.told()
    eventually(leaving.is_away, 60, "it is still ready")
    took_s = leaving.until_gone()
    eventually(lambda: set(states(api, ids)) == {"succeeded"}, 120, "not every job has succeeded")
    repeated = running.calls() - JOBS
    print(f"gone after {took_s:.1f} s, {repeated} calls repeated")
    assert took_s < grace_s + 10
    assert repeated == 0 if grace_s == 300 else repeated <= 100, "at most what was in hand"
    assert staying.answers("livenessProbe")


async def replaced(running, balancer, old):
    """A pod of the same kind takes the place of `old`, as a rolling update does it."""
    new = running.start(old.component)
    await asyncio.to_thread(new.until_ready)
    if old.component == "api":
        await balancer.until(balancer.add(new.url), ready=True)
    old.told()
    await asyncio.to_thread(old.until_gone)
    return new


async def test_every_process_can_be_replaced_under_mixed_traffic_and_no_client_gets_an_error(cluster):
    running = cluster()
    pods = [running.start(component).until_ready() for component in ("api", "api", "worker", "worker", "worker")]
    balancer = Balancer()
    await balancer.open()
    try:
        for pod in pods[:2]:
            await balancer.until(balancer.add(pod.url), ready=True)
        traffic = await asyncio.to_thread(Traffic, balancer.url, PER_S)
        try:
            began = time.monotonic()
            for pod in pods:
                await replaced(running, balancer, pod)
            lasted_s = time.monotonic() - began
            await asyncio.to_thread(traffic.stop)
        finally:
            traffic.kill()
    finally:
        await balancer.close()
    print(
        f"\n{traffic.done.total()} answers, {traffic.per_s:.0f}/s for {lasted_s:.0f} s: {dict(traffic.done)};", end=" "
    )
    print(f"{running.calls()} calls, {len(traffic.errors)} errors")
    assert traffic.errors == []
    if RATE_ASKED:
        assert traffic.per_s >= 0.95 * PER_S, "this machine is too slow, or too busy, to be asked so much"
    assert running.calls() == traffic.done.total(), "each was called once"
    assert min(traffic.done.values()) > 0
    assert len(traffic.done) == 5

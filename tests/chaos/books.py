"""What Redis holds about all jobs at one instant, and what must be true of it at every instant."""

from collections import Counter
from dataclasses import dataclass

import redis

from shared.jobs import State
from shared.lanes import LATER, QUEUE, WAKE, Lane

UNFINISHED = {State.QUEUED.value, State.RUNNING.value}


@dataclass
class Books:
    """`lines`, `rings` by lane and owner, `awake` the lanes with a token; everything else by job or by owner."""

    jobs: dict[str, dict[str, bytes]]
    queue: dict[str, float]
    later: dict[str, float]
    lines: dict[tuple[str, str], list[str]]
    rings: dict[str, set[str]]
    fences: dict[str, str]
    payloads: set[str]
    unfinished: dict[str, int]
    running: dict[str, int]
    parked: set[str]
    awake: set[str]

    def state(self, job: str) -> str:
        return self.jobs[job]["state"].decode()

    def owner(self, job: str) -> str:
        return self.jobs[job]["owner"].decode()

    def cap(self, job: str) -> int:
        return int(self.jobs[job]["cap"])

    def count(self, states: set[str], *, capped: bool = False) -> dict[str, int]:
        """Jobs in one of the states by owner."""
        chosen = (job for job in self.jobs if self.state(job) in states and (self.cap(job) or not capped))
        return dict(Counter(map(self.owner, chosen)))


def read(client: redis.Redis) -> Books:
    keys = sorted(key.decode() for key in client.scan_iter(count=1000))

    def named(prefix: str) -> list[str]:
        return [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]

    return Books(
        jobs={job: _texts(client.hgetall("hermod:job:" + job)) for job in named("hermod:job:")},
        queue=_scores(client, QUEUE),
        later=_scores(client, LATER),
        lines={
            (line.partition(":")[0], line.partition(":")[2]): [
                job.decode() for job in client.lrange("hermod:due:" + line, 0, -1)
            ]
            for line in named("hermod:due:")
        },
        rings={lane.value: set(_scores(client, "hermod:ring:" + lane)) for lane in Lane},
        fences={job: client.get("arq:in-progress:" + job).decode() for job in named("arq:in-progress:")},
        payloads=set(named("arq:job:")),
        unfinished=_counts(client, "hermod:unfinished"),
        running=_counts(client, "hermod:running"),
        parked={owner.decode() for owner in client.smembers("hermod:parked")},
        awake={lane.value for lane in Lane if client.llen(WAKE + lane)},
    )


def check(books: Books) -> None:
    """Every job is in exactly one place, every count is right, every job that may run can be found."""
    in_line = Counter(job for line in books.lines.values() for job in line)
    for job in books.jobs:
        _check_place(books, job, in_line[job])
    unfinished = {job for job in books.jobs if books.state(job) in UNFINISHED}
    running = {job for job in unfinished if books.state(job) == State.RUNNING}
    assert set(books.queue) == unfinished
    assert all(score <= 1 for score in books.queue.values()), "ours are not taken for other arq clients' jobs"
    assert books.payloads == unfinished
    assert set(books.fences) == running
    assert len(set(books.fences.values())) == len(running), "a fence is one job's"
    assert set(books.later) <= unfinished
    assert books.unfinished == books.count(UNFINISHED)
    assert books.running == books.count({State.RUNNING.value}, capped=True)
    for job in running:
        assert not books.cap(job) or books.running[books.owner(job)] <= books.cap(job), "more run than the cap allows"
    _check_lines(books)


def _check_place(books: Books, job: str, in_line: int) -> None:
    deferred = job in books.later
    match books.state(job):
        case State.QUEUED:
            assert in_line + deferred == 1, "a queued job stands in one line, or is deferred"
        case State.RUNNING:
            assert (in_line, deferred) == (0, True), "a running job has the end of its lease, and is in no line"
        case _:
            assert "outcome" in books.jobs[job], "a final job has its outcome"
            record = books.jobs[job]  # that of an async job which did not succeed can be run again
            assert "body" not in record or (record["detached"] == b"1" and record["state"] != b"succeeded")
            assert in_line <= (books.state(job) == State.CANCELLED), "only a cancelled job's id may stay in line"


def _check_lines(books: Books) -> None:
    """A lost owner is a lost job; a lost token is a job nobody looks for."""
    claimable = set()
    for (lane, owner), line in books.lines.items():
        due = [job for job in line if job in books.jobs and books.state(job) == State.QUEUED]
        for job in due:
            assert (books.owner(job), books.jobs[job]["lane"].decode()) == (owner, lane)
        if owner in books.parked:
            assert books.running.get(owner), "who is parked has a running job, whose end brings it back"
        else:
            assert not due or owner in books.rings[lane], "due jobs are in the ring"
            claimable |= {lane} if due else set()
    assert claimable <= books.awake, "sleeping workers must learn of due jobs"


def _texts(record: dict[bytes, bytes]) -> dict[str, bytes]:
    return {name.decode(): value for name, value in record.items()}


def _scores(client: redis.Redis, key: str) -> dict[str, float]:
    return {member.decode(): score for member, score in client.zrange(key, 0, -1, withscores=True)}


def _counts(client: redis.Redis, key: str) -> dict[str, int]:
    """Zeros left out: a counter that went down to nothing."""
    return {owner.decode(): int(count) for owner, count in client.hgetall(key).items() if int(count)}

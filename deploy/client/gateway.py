"""A running gateway as the commands see it: JSON in and out, bytes that stream, errors a user can act on."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
import httpx
import msgspec

from deploy.client.texts import plain
from shared.masked import mask_url

CONNECT_S = 5.0
SILENT_S = 60.0
"""A gateway that says nothing for so long is away; a stream of events has a heartbeat every 15 s."""
PAGE = 100
"""Objects of a listing that are asked for at once: what every surface allows."""
TAKEN_IN_S = 600.0
"""Longest wait for the answer to what was sent: a batch of 256 MiB is checked and stored first."""

_UNAVAILABLE = 500


class Refused(click.ClickException):
    """The gateway answered, and said no."""


class Away(click.ClickException):
    """Nobody answers, the connection broke, or the gateway cannot just now; asked again later it may."""


class Absent(Away):
    """Nobody is there: nothing was sent."""


class _Error(msgspec.Struct):
    message: str


class _ErrorBody(msgspec.Struct):
    """What the error bodies of all surfaces share."""

    error: _Error


_read_json = msgspec.json.Decoder(dict[str, Any]).decode
_read_error = msgspec.json.Decoder(_ErrorBody).decode


class Gateway:
    """The gateway at `url`; all methods raise Refused or Away.

    `key` is a client's virtual key, `token` the administration's, None for a client; either may be empty.
    """

    def __init__(self, url: str, key: str = "", token: str | None = None) -> None:
        self._url = mask_url(url)
        self._hint = "--token, or HERMOD_ADMIN_TOKEN" if token is not None else "--key, or HERMOD_KEY"
        self._http = httpx.Client(
            base_url=url,
            headers={"x-bf-vk": key} if key else {"authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(SILENT_S, connect=CONNECT_S),
        )

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """The object at `path`."""
        with self._trouble():
            return self._object(self._http.get(path, params=query))

    def listed(self, path: str, most: int, *, after: str, last: str, **query: str) -> Iterator[dict[str, Any]]:
        """Up to `most` objects of the listing at `path`, page by page.

        `last` is the field of a page that says where it ends, `after` the parameter that takes it.
        """
        left = most
        while left:
            page = self.get(path, limit=min(left, PAGE), **query)
            yield from page["data"]
            left -= len(page["data"])
            if not page["has_more"]:
                return
            query[after] = page[last]

    def post(
        self, path: str, body: bytes | Iterator[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What became of `body`, JSON unless `headers` say otherwise; an iterator is sent as it yields."""
        named = {"content-type": "application/json", **(headers or {})}
        patience = httpx.Timeout(TAKEN_IN_S, connect=CONNECT_S)
        with self._trouble("What was sent may have been taken: look before it is sent again."):
            return self._object(self._http.post(path, content=body, headers=named, timeout=patience))

    def delete(self, path: str) -> None:
        """Delete the object at `path`."""
        with self._trouble():
            self._object(self._http.delete(path))

    @contextmanager
    def streamed(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes at `path` as they come; what breaks them off is raised where they are read."""
        with self._trouble(), self._http.stream("GET", path, headers=dict(headers or {})) as response:
            if not response.is_success:
                response.read()
                raise self._no(response)
            yield response.iter_bytes()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        if not response.is_success:
            raise self._no(response)
        try:
            return _read_json(response.content)
        except msgspec.DecodeError as error:
            raise self._stranger(response) from error

    def _no(self, response: httpx.Response) -> click.ClickException:
        try:
            message = plain(_read_error(response.content).error.message)
        except msgspec.DecodeError:
            return self._stranger(response)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            message += f" Here: {self._hint} in the environment."
        return Away(message) if response.status_code >= _UNAVAILABLE else Refused(message)

    def _stranger(self, response: httpx.Response) -> click.ClickException:
        kind = Away if response.status_code >= _UNAVAILABLE else Refused
        return kind(f"{self._url} answers with status {response.status_code} and no JSON of a gateway: is it one?")

    @contextmanager
    def _trouble(self, hint: str = "") -> Iterator[None]:
        """Turns httpx's exceptions into ours; `hint` is for a gateway that was there, and is no more."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            why = str(error) or "no answer"
            message = f"no gateway at {self._url} ({why}): start one with `hermod up`, or name another with --url."
            raise Absent(message) from error
        except httpx.TimeoutException as error:
            raise Away(f"the gateway at {self._url} takes too long to answer. {hint}".rstrip()) from error
        except httpx.RequestError as error:
            why = str(error).rstrip(".") or type(error).__name__
            raise Away(f"the connection to {self._url} broke ({why}). {hint}".rstrip()) from error


def _at_url(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--url",
        envvar="HERMOD_URL",
        default="http://127.0.0.1:8080",
        show_default=True,
        show_envvar=True,
        callback=_read_url,
        help="Where the gateway is.",
    )(command)


def asks_a_gateway(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--url` and `--key`, and the Gateway they name as its first argument."""

    @_at_url
    @click.option(
        "--key",
        envvar="HERMOD_KEY",
        default="",
        show_default=False,
        show_envvar=True,
        callback=_read_key,
        help="Virtual key; other users of this machine see arguments, but not the environment.",
    )
    @functools.wraps(command)
    def run(url: str, key: str, **arguments: Any) -> None:
        gateway = Gateway(url, key)
        try:
            command(gateway, **arguments)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read has had enough
                raise
            raise click.ClickException(f"{error.strerror or error}; not all was written.") from error
        finally:
            gateway.close()

    return run


def manages_a_gateway(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--url` and `--token`, and the Gateway they name as its first argument."""

    @_at_url
    @click.option(
        "--token",
        envvar="HERMOD_ADMIN_TOKEN",
        default="",
        show_default=False,
        show_envvar=True,
        callback=_read_key,
        help="admin.token of the gateway; on its own machine none is needed where it has none.",
    )
    @functools.wraps(command)
    def run(url: str, token: str, **arguments: Any) -> None:
        gateway = Gateway(url, token=token)
        try:
            command(gateway, **arguments)
        finally:
            gateway.close()

    return run


def _read_url(_context: click.Context, _option: click.Parameter, url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise click.BadParameter("expected http://host:port or https://host:port.")
    return url.rstrip("/")


def _read_key(_context: click.Context, _option: click.Parameter, key: str) -> str:
    """Checked here: the HTTP client would quote a key that no header can hold."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise click.BadParameter("it has characters that no key or token has.")
    return key

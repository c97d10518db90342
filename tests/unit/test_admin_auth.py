"""Who is let into the administration: the token's bearer, or without a token whoever is on this machine."""

from types import SimpleNamespace

import pytest

from api.admin_auth import AdminDoor
from shared.errors import NotAuthenticated, NotPermitted
from shared.governance_settings import AdminSettings

TOKEN = "a-token-of-some-length"


def asking(peer="127.0.0.1", **headers):
    named = {"host": "localhost:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return SimpleNamespace(client=SimpleNamespace(host=peer), headers=named)


def let_in(connection, token=""):
    AdminDoor(AdminSettings(token=token)).guard(connection, None)


@pytest.mark.parametrize("sent", [f"Bearer {TOKEN}", f"bearer  {TOKEN}"])
def test_the_token_lets_in_from_anywhere(sent):
    let_in(asking("203.0.113.9", authorization=sent, host="gateway.example"), TOKEN)


@pytest.mark.parametrize(
    "sent", ["", "Bearer ", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_with_a_token_nothing_else_does_not_even_from_this_machine(sent):
    with pytest.raises(NotAuthenticated):
        let_in(asking(authorization=sent), TOKEN)


@pytest.mark.parametrize(
    "connection",
    [
        asking(),
        asking("::1", host="[::1]:8080"),
        asking("::ffff:127.0.0.1", host="127.0.0.1"),
        asking(origin="http://localhost:3000"),
    ],
)
def test_without_a_token_programs_on_this_machine_are_let_in(connection):
    let_in(connection)


@pytest.mark.parametrize(
    "connection",
    [
        asking("203.0.113.9"),
        asking("10.0.0.1"),
        asking(x_forwarded_for="127.0.0.1"),
        asking(forwarded="for=127.0.0.1"),
        asking(host="rebound.example:8080"),
        asking(host=""),
        asking(host="[::1"),
        asking(origin="http://["),
        asking(origin="https://evil.example"),
        asking(origin="null"),
        SimpleNamespace(client=None, headers={"host": "localhost"}),
    ],
    ids=[
        "network",
        "private network",
        "proxy",
        "new proxy header",
        "rebinding",
        "no host",
        "host that is none",
        "origin that is none",
        "site",
        "sandbox",
        "no peer",
    ],
)
def test_without_a_token_nothing_from_elsewhere_is_let_in(connection):
    with pytest.raises(NotPermitted) as caught:
        let_in(connection)
    assert "admin.token" in caught.value.message

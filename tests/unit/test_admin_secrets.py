"""The administrator's password: read from the settings, hashed, checked, never shown."""

import asyncio
import json
import threading

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner

import api.admin_secrets
from api.admin_secrets import MOST_WAITING, Secrets
from deploy.cli import main
from deploy.config_report import administration
from shared.config_file import load
from shared.errors import LimitExceeded
from shared.governance_settings import AdminSettings, GovernanceSettings
from shared.masked import SettingsError
from shared.settings import Settings

PASSWORD = "correct horse battery staple"
HASH = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
TOKEN = "an-admin-token-of-tests"


def admin(tmp_path, section, **environ):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"providers": {}, "admin": section}))
    return load(str(path), environ, secrets=False).settings.governance.admin


def test_the_hash_of_the_file_comes_before_the_password_of_the_environment(tmp_path):
    assert admin(tmp_path, {"password_hash": HASH}, HERMOD_ADMIN_PASSWORD=PASSWORD).password == ""
    assert admin(tmp_path, {}, HERMOD_ADMIN_PASSWORD=PASSWORD).password == PASSWORD
    assert admin(tmp_path, {"password_hash": "env.HASH"}, HASH=HASH).password_hash == HASH


def test_content_is_shown_only_when_that_was_set(tmp_path):
    assert not admin(tmp_path, {}).show_content
    assert admin(tmp_path, {"show_content": True}).show_content


@pytest.mark.parametrize(
    ("section", "environ", "path"),
    [
        ({"password_hash": PASSWORD}, {}, "admin.password_hash"),
        ({"password_hash": "$2b$12$abc"}, {}, "admin.password_hash"),
        ({}, {"HERMOD_ADMIN_PASSWORD": "short"}, "HERMOD_ADMIN_PASSWORD"),
        ({"show_content": "yes"}, {}, "admin.show_content"),
        ({"password": PASSWORD}, {}, "admin.password"),
    ],
)
def test_what_cannot_be_meant_stops_the_start_without_showing_it(tmp_path, section, environ, path):
    with pytest.raises(SettingsError) as caught:
        admin(tmp_path, section, **environ)
    assert caught.value.path == path
    assert PASSWORD not in str(caught.value)


def test_neither_password_nor_hash_is_ever_shown():
    shown = repr(AdminSettings(password=PASSWORD, password_hash=HASH, token=TOKEN))
    assert PASSWORD not in shown
    assert HASH not in shown


@pytest.mark.parametrize("settings", [AdminSettings(password_hash=HASH), AdminSettings(password=PASSWORD)])
async def test_the_password_is_right_and_nothing_else_is(settings):
    secrets = Secrets(settings)
    assert secrets.is_set
    assert await secrets.is_right(PASSWORD)
    for wrong in ("", PASSWORD[:-1], HASH, "\0"):
        assert not await secrets.is_right(wrong)


async def test_without_a_password_the_token_stands_for_it_and_with_one_it_does_not():
    assert await Secrets(AdminSettings(token=TOKEN)).is_right(TOKEN)
    assert not await Secrets(AdminSettings(token=TOKEN)).is_right("")
    assert not await Secrets(AdminSettings(token=TOKEN, password_hash=HASH)).is_right(TOKEN)


async def test_with_neither_nothing_is_right():
    secrets = Secrets(AdminSettings())
    assert not secrets.is_set
    assert not await secrets.is_right("")


def test_sessions_of_one_password_are_not_those_of_another():
    epochs = [
        Secrets(AdminSettings(**facts)).epoch
        for facts in ({"password": PASSWORD}, {"password": PASSWORD + "!"}, {"token": TOKEN}, {"password": PASSWORD})
    ]
    assert epochs[0] == epochs[3]
    assert len(set(epochs)) == 3


async def test_many_guesses_at_once_are_refused_rather_than_fill_the_memory(monkeypatch):
    at_once, most = 0, 0

    def slow(_known, _sent):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        gate.wait()
        at_once -= 1
        return False

    gate = threading.Event()
    monkeypatch.setattr(api.admin_secrets, "_matches", slow)
    secrets = Secrets(AdminSettings(password_hash=HASH))
    guesses = [asyncio.create_task(secrets.is_right("guess")) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(LimitExceeded):
        await secrets.is_right("one more")
    gate.set()
    assert await asyncio.gather(*guesses) == [False] * MOST_WAITING
    assert most == 1


async def test_the_command_makes_a_hash_that_lets_in(tmp_path):
    done = CliRunner().invoke(main, ["admin", "hash-password"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 0
    printed = done.output.splitlines()[-1]
    assert PASSWORD not in done.output
    assert await Secrets(admin(tmp_path, {"password_hash": printed})).is_right(PASSWORD)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (AdminSettings(password_hash=HASH), "password"),
        (AdminSettings(password=PASSWORD), "password"),
        (AdminSettings(token=TOKEN), "token"),
        (AdminSettings(), "this machine only"),
    ],
)
def test_the_start_lines_say_who_is_let_in(settings, words):
    said = administration(Settings(governance=GovernanceSettings(admin=settings)))
    assert words in said
    assert PASSWORD not in said

"""`hermod up` for several teams, as one who sets it up and those who are given keys see it."""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.integration.test_jobs_surface import until
from tests.integration.test_up_processes import Up, needs
from tests.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="hermod up is for POSIX systems")

TOKEN = "an-admin-token-of-tests"
SPENDER, SIBLING, RATED, PICKY = (f"sk-bf-{name}-0123456789" for name in ("spender", "sibling", "rated", "picky"))
CLAUDE, GPT = "claude-of-a-team", "gpt-of-a-team"
PRICE = {"input": 1000, "output": 1000}
HELLO: Any = [{"role": "user", "content": "Hello"}]
BUDGET = 0.05
SECRETS = {
    "ADMIN_TOKEN_OF_TESTS": TOKEN,
    "KEY_OF_SPENDER": SPENDER,
    "KEY_OF_SIBLING": SIBLING,
    "KEY_OF_RATED": RATED,
    "KEY_OF_PICKY": PICKY,
}
CONFIG = {
    "client": {"enforce_auth_on_inference": True},
    "admin": {"token": "env.ADMIN_TOKEN_OF_TESTS"},
    "governance": {
        "customers": [{"id": "acme", "budgets": [{"max_limit": 100, "reset_duration": "1M"}]}],
        "teams": [
            {
                "id": "research",
                "name": "Research",
                "customer_id": "acme",
                "budgets": [{"max_limit": BUDGET, "reset_duration": "1d"}],
            }
        ],
        "virtual_keys": [
            {"name": "spender", "value": "env.KEY_OF_SPENDER", "team_id": "research"},
            {"name": "sibling", "value": "env.KEY_OF_SIBLING", "team_id": "research"},
            {
                "name": "rated",
                "value": "env.KEY_OF_RATED",
                "customer_id": "acme",
                "rate_limit": {"request_max_limit": 1, "request_reset_duration": "1h"},
            },
            {
                "name": "picky",
                "value": "env.KEY_OF_PICKY",
                "provider_configs": [{"provider": "anthropic", "allowed_models": [CLAUDE]}],
            },
        ],
    },
    "prices": {f"anthropic/{CLAUDE}": PRICE, f"openai/{GPT}": PRICE},
}


def two_free_ports() -> int:
    """The first of two in a row."""
    one, other = free_port(), free_port()
    while other != one + 1:
        one, other = other, free_port()
    return one


class Team:
    """A gateway, and how those who were given a key ask it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "config.json").write_text(json.dumps(CONFIG))
        self.start()

    def start(self) -> None:
        self.metrics_port = two_free_ports()
        options = ("--config", str(self._folder / "config.json"), "--metrics-port", str(self.metrics_port))
        self.up = Up(self._folder, *options, **SECRETS)
        self.url = f"http://127.0.0.1:{self.up.port}"
        self.printed = self.up.until_ready()

    def message(self, key: str, model: str = CLAUDE) -> Any:
        # With the SDK's own retries: a refusal that they would sleep over for an hour would never come back.
        with anthropic.Anthropic(base_url=f"{self.url}/anthropic", api_key=key) as client:
            return client.messages.create(model=model, max_tokens=10, messages=HELLO)

    def completion(self, key: str, model: str = GPT) -> Any:
        with openai.OpenAI(base_url=f"{self.url}/openai", api_key=key) as client:
            return client.chat.completions.create(model=model, messages=HELLO)

    def refused(self, ask: Any, key: str, *model: str) -> Any:
        with pytest.raises((anthropic.APIStatusError, openai.APIStatusError)) as caught:
            ask(key, *model)
        return caught.value

    def admin(self, path: str, token: str = TOKEN) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers={"authorization": f"Bearer {token}"})

    def spent(self, kind: str, name: str) -> float:
        """US dollars, of its only budget, once nothing of it is held."""

        def settled() -> dict[str, Any] | None:
            [one] = [each for each in self.admin(f"/admin/{kind}").json()["data"] if each["id"] == name]
            return None if one["budgets"][0]["held_by_calls_in_flight"] else one["budgets"][0]

        return float(until(settled)["current_usage"])

    def stop(self) -> None:
        self.up.process.send_signal(signal.SIGINT)
        assert self.up.process.wait(30) == 0
        self.close()

    def close(self) -> None:
        self.up.process.kill()
        self.up.process.communicate()
        self.up.log.close()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    needs("api.app", "worker.main", "deploy.simulator.server")
    running = Team(tmp_path_factory.mktemp("team"))
    yield running
    running.close()


def test_the_first_lines_say_where_everything_is_and_no_secret(team):
    assert f"{team.url}/console, with the admin's token" in team.printed
    assert 'api_key="YOUR-VIRTUAL-KEY"' in team.printed, "the example runs once the key is put in"
    folder = team.up.folder
    told = [team.printed, (folder / "stderr").read_text(), (folder / "data/run/api.json").read_text()]
    assert not [secret for secret in SECRETS.values() for text in told if secret in text]


def test_api_and_worker_tell_their_metrics_where_the_first_lines_say(team):
    def told(port: int) -> str:
        with contextlib.suppress(httpx.TransportError):  # of a worker that has only just begun
            return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        return ""

    first = team.metrics_port
    assert f"port {first} (API), {first + 1} (workers)" in team.printed
    for port, counted in ((first, "http_requests_total{"), (first + 1, "hermod_slots{")):
        assert counted in until(lambda port=port: told(port))


@pytest.mark.parametrize("key", ["unused", "sk-bf-nobody-was-given-this"])
def test_without_a_key_of_the_gateway_nothing_is_answered(team, key):
    for ask in (team.message, team.completion):
        refused = team.refused(ask, key)
        assert refused.status_code == 401
        assert "key" in refused.message


def test_a_key_has_what_it_was_given_and_nothing_else(team):
    assert team.message(PICKY).content
    for ask, model, code in ((team.message, "claude-of-others", "model"), (team.completion, GPT, "provider")):
        refused = team.refused(ask, PICKY, model)
        assert isinstance(refused, anthropic.PermissionDeniedError | openai.PermissionDeniedError)
        assert f"{code}_blocked" in refused.response.text


@pytest.mark.parametrize("surface", ["message", "completion"])
def test_a_full_window_is_told_at_once_however_long_it_lasts(team, surface):
    if surface == "message":
        assert team.message(RATED).usage.output_tokens
    refused = team.refused(getattr(team, surface), RATED)
    assert isinstance(refused, anthropic.RateLimitError | openai.RateLimitError)
    assert 3500 < int(refused.response.headers["retry-after"]) <= 3600


def test_a_team_spends_its_budget_together_and_a_restart_gives_none_of_it_back(team):
    before = team.spent("customers", "acme")
    answers = 0
    while team.spent("teams", "research") < BUDGET:
        usage = team.message(SPENDER).usage
        answers += 1
        cost = (usage.input_tokens + usage.output_tokens) * PRICE["input"] / 1e6
        assert team.spent("teams", "research") == pytest.approx(answers * cost)
    spent = team.spent("teams", "research")

    def all_are_refused() -> None:
        for key in (SPENDER, SIBLING):
            for ask in (team.message, team.completion):
                refused = team.refused(ask, key)
                assert refused.status_code == 402
                assert "of team 'Research' is used up; it begins anew in" in refused.message
        assert team.spent("teams", "research") == spent

    all_are_refused()
    assert team.spent("customers", "acme") == pytest.approx(before + spent)
    team.stop()
    team.start()
    all_are_refused()
    assert team.refused(team.message, RATED).status_code == 429
    assert team.message(PICKY).content


def test_the_administration_shows_what_was_spent_to_who_has_the_token_and_to_nobody_else(team):
    for token in ("wrong", SPENDER):
        assert team.admin("/admin/teams", token).status_code == 401
        assert team.admin("/console/keys", token).status_code in {303, 401}
    listed = team.admin("/admin/virtual-keys").json()["data"]
    assert {each["name"] for each in listed} == {"spender", "sibling", "rated", "picky"}
    pages = [team.admin(path).text for path in ("/admin/virtual-keys", "/console/keys", "/console")]
    assert "spender" in pages[1]
    assert not [secret for secret in SECRETS.values() for page in pages if secret in page]
    signed_in = httpx.Client(base_url=team.url, follow_redirects=True)
    with signed_in:
        assert "password" in signed_in.get("/console").text
        page = signed_in.post("/console/login", data={"password": TOKEN}, headers={"origin": team.url})
        assert page.status_code == 200
        assert "spender" in signed_in.get("/console/keys").text

"""The documentation's five providers, each called as it is in life: its own addresses, wire and way to sign."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anthropic
import openai
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.contract import process
from tests.contract.asking import KEY, PROMPT, turn
from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdks import GENERATIONS, Sdk
from tests.contract.simulator import simulating
from tests.contract.test_snippets import EXAMPLES
from tests.contract.wire import TIMEOUT_S, ask

ACCOUNT = "robot@my-project.iam.gserviceaccount.com"
TOKEN = "ya29.a-token-of-the-robot"
VERSION = "2024-10-21"
PLACE = "projects/my-project/locations/europe-west4/publishers"
REACHED = {
    "/v1/messages",
    "/v1/chat/completions",
    f"/vertex/v1beta1/{PLACE}/google/models/gemini-pro:generateContent",
    "/azure/openai/deployments/four-o-eu/chat/completions",
    "/ollama/v1/chat/completions",
}
"""Where the examples' calls arrive."""


class TokenServer:
    """Google's token endpoint: gives the account its token for an assertion that names it.

    Attributes:
        asked: who asked, by the assertions.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        handler = type("Handler", (_TokenHandler,), {"asked": self.asked})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/token"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _TokenHandler(BaseHTTPRequestHandler):
    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        claims = form["assertion"][0].split(".")[1]
        self.asked.append(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))))
        body = json.dumps({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def config(simulator: str, tokens: str) -> dict[str, Any]:
    """Five providers as a Bifrost file has them, at the simulator."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"type": "service_account", "client_email": ACCOUNT, "private_key": pem, "token_uri": tokens}
    vertex = {"project_id": "my-project", "region": "europe-west4", "auth_credentials": json.dumps(account)}
    azure = {"endpoint": f"{simulator}/azure", "api_version": VERSION, "deployments": {"gpt-4o": "four-o-eu"}}
    surface = {"endpoint": f"{simulator}/azure"}
    return {
        "providers": {
            "anthropic": {"keys": [{"value": "sk-ant"}], "network_config": {"base_url": simulator}},
            "openai": {"keys": [{"value": "sk-openai"}], "network_config": {"base_url": f"{simulator}/v1"}},
            "vertex": {
                "keys": [{"value": "", "vertex_key_config": vertex}],
                "network_config": {"base_url": f"{simulator}/vertex"},
            },
            "azure": {
                "keys": [
                    {"name": "old", "value": "key-old", "models": ["gpt-4o"], "azure_key_config": azure},
                    {"name": "new", "value": "key-new", "models": ["gpt-5"], "azure_key_config": surface},
                ]
            },
            "ollama": {"keys": [{"value": "", "ollama_key_config": {"url": f"{simulator}/ollama/v1"}}]},
        }
    }


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, tokens: TokenServer) -> Iterator[Gateway]:
    """One that is configured with five providers."""
    folder: Path = tmp_path_factory.mktemp("providers")
    with simulating(folder) as url:
        file = folder / "config.json"
        file.write_text(json.dumps(config(url, tokens.url)))
        started = process.start(folder, file)
        started.simulator = url
        yield started
        assert process.stop(started) == 0


@pytest.fixture
def claude(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.anthropic, api_key=KEY, max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture
def gpt(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.openai, api_key=KEY, max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


def runs() -> list[object]:
    """The examples of all providers, with every generation of their language."""
    return [
        pytest.param(name, example, id=f"{example.name}-{name}")
        for example in EXAMPLES
        for name in GENERATIONS
        if name.startswith(example.language) and "azure/" in example.code and "ollama/" in example.code
    ]


def reached(gateway: Gateway, since: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = ask(gateway.simulator, "GET", f"/__ledger?since={since}").json["entries"]
    return entries


@pytest.mark.parametrize(("sdk", "example"), runs(), indirect=["sdk"])
def test_the_documented_example_of_every_provider_reaches_it_at_its_own_address(
    sdk: Sdk, example: Example, gateway: Gateway
):
    before = reached(gateway, 0)
    done = sdk.run(example.aimed_at(gateway.url))
    assert done.returncode == 0, done.stderr
    calls = reached(gateway, before[-1]["n"] if before else 0)
    assert {call["path"] for call in calls} == REACHED
    assert {call["status"] for call in calls} == {200}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "path", "header"),
    [
        ("vertex/gemini-pro", f"/vertex/v1beta1/{PLACE}/google/models/gemini-pro:", "authorization"),
        ("vertex/claude-sonnet-5", f"/vertex/v1/{PLACE}/anthropic/models/claude-sonnet-5:", "authorization"),
        ("azure/gpt-4o", "/azure/openai/deployments/four-o-eu/chat/completions", "api-key"),
        ("azure/gpt-5", "/azure/openai/v1/chat/completions", "api-key"),
        ("ollama/llama3.1:8b", "/ollama/v1/chat/completions", ""),
    ],
)
def test_both_sdks_hear_each_provider_at_its_address(
    gateway: Gateway, claude: anthropic.Anthropic, gpt: openai.OpenAI, *, model, path, header, stream
):
    before = len(reached(gateway, 0))
    if stream:
        with claude.messages.stream(model=model, max_tokens=100, messages=turn()) as events:
            said = events.get_final_message().content[0].text
        with gpt.chat.completions.stream(model=model, messages=turn()) as events:
            also = events.get_final_completion().choices[0].message.content
    else:
        said = claude.messages.create(model=model, max_tokens=100, messages=turn()).content[0].text
        also = gpt.chat.completions.create(model=model, messages=turn()).choices[0].message.content
    assert PROMPT in said
    assert PROMPT in also
    calls = reached(gateway, 0)[before:]
    assert len(calls) == 2
    credentials = {"authorization", "api-key", "x-api-key", "x-goog-api-key"}
    for call in calls:
        assert call["path"].startswith(path)
        assert credentials & set(call["headers"]["names"]) == ({header} if header else set())


def test_tokens_are_counted_by_azure_and_by_ollama_they_are_not(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    assert claude.messages.count_tokens(model="azure/gpt-4o", messages=turn("one two three")).input_tokens == 3
    with pytest.raises(anthropic.BadRequestError, match="model: provider 'ollama' cannot do this"):
        claude.messages.count_tokens(model="ollama/llama3.1:8b", messages=turn())
    with pytest.raises(openai.BadRequestError, match="model: provider 'ollama' cannot do this"):
        gpt.responses.input_tokens.count(model="ollama/llama3.1:8b", input="one two three")


def test_claude_on_vertex_counts_tokens_and_is_passed_through(gateway: Gateway, claude: anthropic.Anthropic):
    counted = claude.messages.count_tokens(model="vertex/claude-sonnet-5", messages=turn("one two three"))
    assert counted.input_tokens == 3
    thought = claude.messages.create(
        model="vertex/claude-sonnet-5",
        max_tokens=2000,
        messages=turn(),
        thinking={"type": "enabled", "budget_tokens": 1024},
        extra_headers={"anthropic-beta": "context-1m-2025-08-07"},
    )
    assert [block.type for block in thought.content] == ["thinking", "text"]
    assert reached(gateway, 0)[-1]["headers"]["anthropic-beta"] == "context-1m-2025-08-07"


def test_one_token_of_the_accounts_serves_all_calls_of_a_worker(gpt: openai.OpenAI, tokens: TokenServer):
    for _ in range(5):
        gpt.chat.completions.create(model="vertex/gemini-pro", messages=turn())
    assert {claims["iss"] for claims in tokens.asked} == {ACCOUNT}
    assert 1 <= len(tokens.asked) <= 4  # one for each worker


def test_a_response_is_passed_through_to_azure_at_both_surfaces(gateway: Gateway, gpt: openai.OpenAI):
    for model, path in (("azure/gpt-4o", "/azure/openai/responses"), ("azure/gpt-5", "/azure/openai/v1/responses")):
        assert gpt.responses.create(model=model, input=PROMPT).status == "completed"
        assert reached(gateway, 0)[-1]["path"] == path
    vectors = gpt.embeddings.create(model="azure/gpt-4o", input=PROMPT)
    assert vectors.data
    assert reached(gateway, 0)[-1]["path"] == "/azure/openai/deployments/four-o-eu/embeddings"


def test_a_model_without_a_key_is_refused_and_nobody_is_called(gateway: Gateway, gpt: openai.OpenAI):
    before = len(reached(gateway, 0))
    with pytest.raises(openai.BadRequestError, match="no key of provider 'azure'"):
        gpt.chat.completions.create(model="azure/gpt-2", messages=turn())
    assert len(reached(gateway, 0)) == before


def test_no_credential_is_logged(gateway: Gateway):
    log = gateway.logged()
    assert log
    assert not [secret for secret in (TOKEN, "key-old", "key-new", "sk-ant", "PRIVATE KEY") if secret in log]

"""Calls are signed with what Google and Entra give, and nothing of a credential is told to anyone else."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shared.errors import AuthFailed, ProviderError, Unreachable
from shared.provider_settings import AzureKey, BedrockKey, ProviderKey, ProviderSettings, VertexKey
from shared.settings import Settings
from tests.unit.raw_provider import SECRET, Connection, Handler, provider, until
from tests.unit.test_transport_tls import tls  # noqa: F401 - a fixture
from worker.routing import Router, Target
from worker.signing import Signer, token
from worker.transport import Call

CALL = Call("POST", "https://a.example/v1/models/m:run?x=1", {"content-type": "application/json"}, b"{}", "p", 5.0)


@pytest.fixture(scope="module")
def account_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def account(key: rsa.RSAPrivateKey, token_uri: str) -> str:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    facts = {"type": "service_account", "client_email": "robot@p.iam", "private_key": pem, "token_uri": token_uri}
    return json.dumps(facts)


def target(name: str, **blocks) -> Target:
    key = ProviderKey(name="my-key", value=blocks.pop("value", ""), **blocks)
    return Router(Settings(providers={name: ProviderSettings(name=name, keys=(key,))})).target(name, "m")


def vertex(credentials: str | None) -> Target:
    return target("vertex", vertex=VertexKey(project_id="p", region="r", auth_credentials=credentials))


def granting(asked: list[bytes], *answers: tuple[int, dict[str, object]]) -> Handler:
    """Gives the answers in turn, the last one for ever."""

    async def handle(connection: Connection) -> None:
        while True:
            asked.append(await connection.request())
            status, body = answers[min(len(asked), len(answers)) - 1]
            text = json.dumps(body).encode()
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
            await connection.write(head.encode() + text)

    return handle


def tells_nothing(error: ProviderError, *secrets: str) -> None:
    """Neither the error nor what caused it holds a credential, and it names the key."""
    assert "'my-key'" in error.message
    seen: BaseException | None = error
    while seen is not None:
        assert not [secret for secret in (SECRET, "PRIVATE KEY", *secrets) if secret in f"{seen} {seen!r}"]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


# --- Google ---------------------------------------------------------------------------------------------


async def test_many_calls_share_one_token_that_the_account_proves_itself_for(account_key):
    asked: list[bytes] = []
    granted = (200, {"access_token": "ya29.t", "expires_in": 3600, "token_type": "Bearer"})
    async with provider(granting(asked, granted)) as (url, _):
        signer, at = Signer(), vertex(account(account_key, f"{url}/token"))
        signed = await asyncio.gather(*(signer.sign(CALL, at) for _ in range(50)))
    assert {call.headers["authorization"] for call in signed} == {"Bearer ya29.t"}
    assert all(call.headers["content-type"] == "application/json" for call in signed)
    (request,) = asked
    assertion = parse_qs(request.partition(b"\r\n\r\n")[2].decode())["assertion"][0]
    signed_part, _, proof = assertion.rpartition(".")
    account_key.public_key().verify(_decoded(proof), signed_part.encode(), PKCS1v15(), SHA256())
    claims = json.loads(_decoded(signed_part.partition(".")[2]))
    assert claims["iss"] == "robot@p.iam"
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_token_is_fetched_again_ahead_of_its_end_while_calls_go_on_with_the_old_one(account_key, monkeypatch):
    monkeypatch.setattr(token, "PAUSE_S", 0.0)
    asked: list[bytes] = []
    soon = {"access_token": "first", "expires_in": 200}
    async with provider(granting(asked, (200, soon), (200, {"access_token": "second", "expires_in": 3600}))) as (
        url,
        _,
    ):
        signer, at = Signer(), vertex(account(account_key, f"{url}/token"))
        assert await bearer(signer, at) == "first"
        assert await bearer(signer, at) == "first"
        await until(lambda: len(asked) == 2)
        deadline = asyncio.get_running_loop().time() + 60
        while await bearer(signer, at) != "second":
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.005)
        assert await bearer(signer, at) == "second"
    assert len(asked) == 2


async def test_a_failure_to_fetch_ahead_is_hidden_while_the_token_is_good(account_key, monkeypatch):
    monkeypatch.setattr(token, "PAUSE_S", 0.0)
    asked: list[bytes] = []
    answers = (200, {"access_token": "first", "expires_in": 200}), (400, {"error": "invalid_grant"})
    async with provider(granting(asked, *answers)) as (url, _):
        signer, at = Signer(), vertex(account(account_key, f"{url}/token"))
        for _ in range(3):
            assert await bearer(signer, at) == "first"
        await until(lambda: len(asked) >= 2)
        assert await bearer(signer, at) == "first"


async def bearer(signer: Signer, at: Target) -> str:
    return (await signer.sign(CALL, at)).headers["authorization"].removeprefix("Bearer ")


async def test_an_account_that_google_refuses_is_the_keys_failure_and_its_next_call_asks_again(account_key):
    asked: list[bytes] = []
    refused = (400, {"error": "invalid_grant", "error_description": f"Invalid JWT Signature {SECRET}"})
    async with provider(granting(asked, refused, (200, {"access_token": "t", "expires_in": 3600}))) as (url, _):
        signer, at = Signer(), vertex(account(account_key, f"{url}/token"))
        with pytest.raises(AuthFailed) as caught:
            await signer.sign(CALL, at)
        assert "'my-key' of vertex cannot sign" in caught.value.message
        assert SECRET not in caught.value.message
        assert await bearer(signer, at) == "t"


async def test_a_token_server_that_sends_elsewhere_is_not_followed(account_key):
    elsewhere: list[bytes] = []
    async with provider(granting(elsewhere, (200, {"access_token": "t", "expires_in": 1}))) as (other, _):

        async def redirect(connection: Connection) -> None:
            await connection.request()
            head = f"HTTP/1.1 307 X\r\nlocation: {other}/token\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            await connection.write(head.encode())

        async with provider(redirect) as (url, _):
            with pytest.raises(AuthFailed) as caught:
                await Signer().sign(CALL, vertex(account(account_key, f"{url}/token")))
    tells_nothing(caught.value)
    assert elsewhere == []


async def test_a_token_server_that_is_away_is_no_ones_fault_and_nothing_was_sent(account_key):
    async with provider(granting([], (200, {}))) as (url, _):
        pass
    with pytest.raises(Unreachable) as caught:
        await Signer().sign(CALL, vertex(account(account_key, f"{url}/token")))
    assert not caught.value.sent
    tells_nothing(caught.value)


BROKEN = {"type": "service_account", "client_email": "a", "token_uri": "http://127.0.0.1:1", "private_key": SECRET}


@pytest.mark.parametrize("credentials", ['{"type": "service_account"}', json.dumps(BROKEN)])
async def test_credentials_that_are_none_are_not_quoted(credentials):
    with pytest.raises(AuthFailed) as caught:
        await Signer().sign(CALL, vertex(credentials))
    tells_nothing(caught.value)


async def test_a_machine_without_google_credentials_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(AuthFailed, match="'my-key' of vertex cannot sign"):
        await Signer().sign(CALL, vertex(None))


async def test_what_the_machine_has_signs_for_a_key_without_credentials(account_key, monkeypatch, tmp_path):
    async with provider(granting([], (200, {"access_token": "machine", "expires_in": 3600}))) as (url, _):
        (tmp_path / "account.json").write_text(account(account_key, f"{url}/token"))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        assert await bearer(Signer(), vertex(None)) == "machine"


# --- Entra ----------------------------------------------------------------------------------------------


def entra(authority: str) -> Target:
    who = {"client_id": "app", "client_secret": SECRET, "tenant_id": "my-tenant", "authority": authority}
    return target("azure", azure=AzureKey(endpoint="https://me.openai.azure.com", **who))


def entra_server(asked: list[bytes], status: int, body: dict[str, object], origin: Callable[[], str]) -> Handler:
    async def handle(connection: Connection) -> None:
        while True:
            request = await connection.request()
            asked.append(request)
            found = {name: f"{origin()}/my-tenant/oauth2/v2.0/{name}" for name in ("authorize", "token")}
            known = {"authorization_endpoint": found["authorize"], "token_endpoint": found["token"], "issuer": origin()}
            code, said = (200, known) if request.startswith(b"GET") else (status, body)
            text = json.dumps(said).encode()
            await connection.write(f"HTTP/1.1 {code} X\r\ncontent-length: {len(text)}\r\n\r\n".encode() + text)

    return handle


async def ask_entra(trusted, monkeypatch, status: int, body: dict[str, object]) -> tuple[Callable, list[bytes]]:
    """Signs twice against an Entra that answers so; what it was asked."""
    context, certificate = trusted
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    asked: list[bytes] = []
    at: list[str] = []
    async with provider(entra_server(asked, status, body, lambda: at[0]), context) as (url, _):
        at.append(url)
        signer = Signer()
        try:
            return [await signer.sign(CALL, entra(url)) for _ in range(2)], asked
        except ProviderError as error:
            return error, asked


async def test_entra_gives_an_application_a_token_for_azure_once(tls, monkeypatch):  # noqa: F811 - the fixture
    granted = {"access_token": "eyJ.t", "expires_in": 3600, "token_type": "Bearer"}
    signed, asked = await ask_entra(tls, monkeypatch, 200, granted)
    assert [call.headers["authorization"] for call in signed] == ["Bearer eyJ.t"] * 2
    (posted,) = [request for request in asked if request.startswith(b"POST /my-tenant/oauth2/v2.0/token")]
    form = parse_qs(posted.partition(b"\r\n\r\n")[2].decode())
    assert (form["client_id"], form["client_secret"], form["grant_type"]) == (["app"], [SECRET], ["client_credentials"])
    assert "https://cognitiveservices.azure.com/.default" in form["scope"][0].split()


async def test_an_application_that_entra_refuses_is_the_keys_failure(tls, monkeypatch):  # noqa: F811 - the fixture
    refused = {"error": "invalid_client", "error_description": f"AADSTS7000215: Invalid secret {SECRET}"}
    error, _ = await ask_entra(tls, monkeypatch, 401, refused)
    assert isinstance(error, AuthFailed)
    assert "invalid_client" in error.message
    tells_nothing(error)


# --- nothing to sign ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at",
    [
        target("openai", value="sk"),
        target("vertex", value="AIza", vertex=VertexKey(project_id="p", region="r")),
        target("azure", value="k", azure=AzureKey(endpoint="https://a", client_id="c")),
        target("azure", azure=AzureKey(endpoint="https://a")),
        target("bedrock", value="bearer", bedrock=BedrockKey(region="r")),
        target("ollama"),
    ],
    ids=lambda at: f"{at.row.name} {'with' if at.key.value else 'without'} a value",
)
async def test_a_key_with_a_value_or_without_anything_leaves_the_call_as_it_is(at):
    assert await Signer().sign(CALL, at) is CALL

"""The README's reference of the settings is what the structs say."""

import copy
import json
import re
import typing
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.config_reference import SECTIONS, attributes, reference
from shared import settings
from shared.allowed_hosts import AllowedHost
from shared.config_file import load
from shared.governance_settings import GovernanceSettings, RequiredHeader
from shared.webhook_settings import new_secret

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_holds_the_reference_as_it_is_printed():
    printed = CliRunner().invoke(main, ["config", "reference"]).output
    assert printed.strip() == reference().strip()
    _, begun, rest = README.read_text().partition("<!-- hermod config reference -->\n")
    held, ended, _ = rest.partition("<!-- end -->\n")
    assert begun
    assert ended
    assert held.strip() == printed.strip(), "run `hermod config reference` and put what it prints into the README"


def test_every_section_of_the_settings_is_told():
    told = {struct for _, struct in SECTIONS}
    assert structs_in(settings.Settings) - told <= {settings.Settings, GovernanceSettings, AllowedHost, RequiredHeader}


def structs_in(kind):
    """The structs of a type, and those of their fields."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {kind}.union(*map(structs_in, typing.get_type_hints(kind).values()))
    return set().union(*map(structs_in, typing.get_args(kind)))


def test_every_setting_has_a_meaning():
    for path, struct in SECTIONS:
        told = {name for names, _ in attributes(struct) for name in names.split(", ")}
        assert {field.name for field in msgspec.structs.fields(struct)} <= told, path


WHOLE = {
    "governance": {
        "virtual_keys": [
            {
                "value": "sk-bf-one",
                "provider_configs": [{"provider": "openai"}],
                "budgets": [{"max_limit": 1}],
                "rate_limit": {},
            }
        ],
        "teams": [{"id": "one"}],
        "customers": [{"id": "one"}],
    },
    "providers": {
        "openai": {"keys": [{"value": "sk-one"}]},
        "azure": {"keys": [{"value": "one", "azure_key_config": {"endpoint": "https://one.example"}}]},
        "vertex": {"keys": [{"vertex_key_config": {"project_id": "one", "region": "global"}}]},
        "bedrock": {"keys": [{"value": "one", "bedrock_key_config": {"region": "us-east-1"}}]},
        "ollama": {"keys": [{"ollama_key_config": {"url": "http://one.example"}}]},
        "own": {
            "custom_provider_config": {"base_provider_type": "openai"},
            "keys": [{"value": "sk-one"}],
            "network_config": {"base_url": "https://one.example"},
        },
    },
    "webhooks": [{"name": "one", "url": "https://one.example", "secret": new_secret()}],
}
"""A config.json with what must be set in each section."""
PROVIDER_OF = {"custom": "own", "azure": "azure", "vertex": "vertex", "bedrock": "bedrock", "llama": "ollama"}


def told() -> list[str]:
    """Path of every setting of the reference."""
    sections = re.findall(r"\*\*`(.*)`\*\*\n\n((?:- .*\n)*)", reference() + "\n")
    return [f"{path}.{name}" for path, lines in sections for name in re.findall("^- `([^`]*)`", lines, re.MULTILINE)]


def with_setting(path: str) -> dict[str, typing.Any]:
    """WHOLE, and the setting where it is not there yet: mostly with no value, which leaves it at its default."""
    whole = copy.deepcopy(WHOLE)
    provider = next((name for part, name in PROVIDER_OF.items() if part in path), "openai")
    path = path.replace("…", "governance.virtual_keys[].").replace("NAME", provider)
    *parts, last = path.replace("PROVIDER/MODEL", "openai/gpt").split(".")
    inner: typing.Any = whole
    for part in parts:
        inner = inner.setdefault(part.removesuffix("[]"), [{}] if part.endswith("[]") else {})
        inner = inner[0] if part.endswith("[]") else inner
    inner.setdefault(last, {"rate_limit": {}, "token_max_limit": 1, "request_max_limit": 1}.get(last))
    return whole


@pytest.mark.parametrize("path", told())
def test_every_setting_that_is_told_is_one_that_the_file_may_have(tmp_path, path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(with_setting(path)))
    assert not [line for line in load(str(file), {}, secrets=True).warnings if line.endswith("ignored")]

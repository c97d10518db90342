"""The README's reference of the settings is what the structs say."""

import typing
from pathlib import Path

import msgspec
from click.testing import CliRunner

from deploy.cli import main
from deploy.config_reference import SECTIONS, attributes, reference
from shared import settings
from shared.allowed_hosts import AllowedHost
from shared.governance_settings import GovernanceSettings, RequiredHeader

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

"""Reads the section `governance` of config.json: Bifrost's shape."""

from __future__ import annotations

from shared import bifrost_settings
from shared.config_section import Section
from shared.governance_settings import VirtualKey
from shared.settings import ClientSettings


def virtual_keys(governance: Section, client: ClientSettings, warnings: list[str]) -> tuple[VirtualKey, ...]:
    """The keys of `governance.virtual_keys`. Raises SettingsError."""
    keys: list[VirtualKey] = []
    for index, section in enumerate(governance.sections("virtual_keys"), start=1):
        key = VirtualKey(
            name=section.text("name") or f"virtual-key-{index}",
            value=section.text("value", secret=True) or "",
            active=section.flag("is_active", default=True),
            weight=section.number("weight", 1.0),
            max_jobs=section.integer("max_jobs", client.max_jobs_per_key, least=1),
            max_running_jobs=section.integer("max_running_jobs", client.max_running_jobs_per_key),
        )
        if not key.value:
            raise section.fail("value", "missing; give the key or a reference, as in env.TEAM_KEY")
        for other in keys:
            if other.name == key.name:
                raise section.fail("name", f'"{key.name}" is the name of an earlier key')
            if other.value == key.value:
                raise section.fail("value", f'the same as that of "{other.name}"')
        keys.append(key)
        warnings += section.finish(bifrost_settings.VIRTUAL_KEY)
    warnings += governance.finish(bifrost_settings.GOVERNANCE)
    return tuple(keys)

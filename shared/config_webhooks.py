"""Reads the section `webhooks` of config.json: Bifrost's shape, and `previous_secret`."""

from __future__ import annotations

import re

from msgspec.structs import replace

from shared.config_section import Section
from shared.webhook_settings import NAME, TAKEN_NAME, WebhookSettings, new_secret

_NAME = re.compile(NAME)
_UNSUPPORTED = frozenset({"config_hash", "description", "id"})
"""Bifrost's, of no meaning here."""


def webhooks(sections: list[Section], warnings: list[str], *, secrets: bool) -> tuple[WebhookSettings, ...]:
    """The endpoints; without `secrets` neither their secrets nor their headers. Raises SettingsError."""
    found: list[WebhookSettings] = []
    for section in sections:
        endpoint = _webhook(section, secrets=secrets)
        if any(endpoint.name == other.name for other in found):
            raise section.fail("name", f'"{endpoint.name}" is the name of an earlier one')
        found.append(endpoint)
        warnings += section.finish(_UNSUPPORTED)
    return tuple(found)


def _webhook(section: Section, *, secrets: bool) -> WebhookSettings:
    name = section.text("name") or ""
    if not _NAME.fullmatch(name):
        raise section.fail("name", "expected 1 to 64 letters, digits, dots, hyphens and underscores")
    if name == TAKEN_NAME:
        raise section.fail("name", f'"{TAKEN_NAME}" is part of the administration\'s own paths; choose another')
    endpoint = WebhookSettings(
        name=name,
        url=section.text("url", secret=True) or "",
        events=section.texts("events"),
        include_response=section.flag("include_response", default=False),
        allow_private_network=section.flag("allow_private_network", default=False),
        disabled=section.flag("disabled", default=False),
    )
    if secrets:
        endpoint = replace(
            endpoint,
            secret=section.text("secret", secret=True) or "",
            previous_secret=section.text("previous_secret", secret=True) or "",
            headers=section.mapping("headers", secret=True),
        )
    section.ignore("secret", "previous_secret", "headers")
    problem = (endpoint if secrets else replace(endpoint, secret=new_secret())).problem()
    if problem:
        raise section.fail(*problem)
    return endpoint

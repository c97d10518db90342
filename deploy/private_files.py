"""What `hermod up` writes for its children: files that only this user can read, the lock on the data folder."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from shared import bifrost_settings
from shared.config_environment import SECRET_VARIABLES
from shared.config_governance import ADMIN_VARIABLES
from shared.config_section import REFERENCE

_OF_WORKERS = frozenset({"base_url", "ca_cert_pem", "extra_headers"})
_OF_WORKERS_IN_WEBHOOKS = frozenset({"headers", "previous_secret", "secret"})
_LEFT_OUT = bifrost_settings.TOP | {"governance"}
_GOVERNANCE = ("virtual_keys", "teams", "customers", "budgets", "rate_limits", "pricing_overrides")
_SHARED_OF_PROVIDER = frozenset({"custom_provider_config", "network_config"})


class DataFolderBusy(Exception):
    """Another `hermod up` works on the data folder; the message says which."""


def write_private(path: Path, text: str) -> None:
    """Writes a file with mode 0600, whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Writes a config.json."""
    write_private(path, json.dumps(document, indent=2) + "\n")


def lock(path: Path) -> int:
    """Takes the lock for as long as the returned descriptor, or a child's copy of it, is open.

    Raises:
        DataFolderBusy: somebody else holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        who = f" (process {holder})" if holder else ""
        raise DataFolderBusy(
            f"another hermod up{who} is using {path.parent.parent}: stop it, or give this one another --data-dir"
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def api_document(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the API process may see it: which providers there are, but no key and no way to reach them.

    Of `webhooks` it is which endpoints there are, without what proves to them who calls.
    Of `governance` what it checks stays: virtual keys, which are the clients' credentials, and what they may have.
    """
    kept = {name: value for name, value in document.items() if name not in _LEFT_OUT}
    if "providers" in document:
        kept["providers"] = {name: _without_access(provider) for name, provider in document["providers"].items()}
    if isinstance(endpoints := document.get("webhooks"), list):
        kept["webhooks"] = [_left(endpoint, _OF_WORKERS_IN_WEBHOOKS) for endpoint in endpoints]
    governance = document.get("governance") or {}
    if shown := {name: governance[name] for name in _GOVERNANCE if name in governance}:
        kept["governance"] = shown
    return kept


def api_environment(document: dict[str, Any], environ: dict[str, str]) -> dict[str, str]:
    """The environment without the variables that only workers need, or that usually hold a provider's key.

    One that the API's part of the document refers to stays: a cloud's key may be that of the object store.
    """
    shown = {name: value for name, value in api_document(document).items() if name != "providers"}
    secret = {*_references(document), *SECRET_VARIABLES}.difference(_references(shown))
    return {name: value for name, value in environ.items() if name not in secret}


def worker_environment(document: dict[str, Any], environ: dict[str, str]) -> dict[str, str]:
    """The environment without what only lets people and programs in: it is the API that asks for it."""
    client = document.get("client") or {}
    asked = _references([document.get("admin"), client.get("required_headers")])
    rest = {name: value for name, value in document.items() if name != "admin"}
    rest["client"] = _left(client, frozenset({"required_headers"}))
    secret = {*asked, *ADMIN_VARIABLES}.difference(_references(rest))
    return {name: value for name, value in environ.items() if name not in secret}


def _without_access(provider: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in provider.items() if name in _SHARED_OF_PROVIDER}
    if "network_config" in kept:
        kept["network_config"] = _left(kept["network_config"] or {}, _OF_WORKERS)
    return kept


def _left(facts: dict[str, Any], gone: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in gone}


def _references(value: Any) -> list[str]:
    """Names of the environment variables referred to anywhere in a JSON value."""
    if isinstance(value, str):
        reference = REFERENCE.fullmatch(value)
        return [reference[1]] if reference else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [name for item in inner for name in _references(item)]

"""What a command does before it runs a part of the gateway: its settings, the folder of its data, its ports."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click
from msgspec.structs import replace

from deploy.probes import why_not_served
from shared.config_file import load
from shared.masked import SettingsError, mask_url
from shared.settings import ObjectStoreSettings, Settings

logger = logging.getLogger("hermod.start")


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/hermod`, else `~/.local/share/hermod` (XDG Base Directory Specification 0.8)."""
    base = Path(environ.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "hermod"


def settings_of(role: Literal["api", "worker"], config: str | None, data_dir: Path | None) -> Settings:
    """What the role needs of the settings, and of nothing else the secrets; says where they come from and lead to.

    Raises:
        click.ClickException: something in them is wrong.
    """
    is_worker = role == "worker"
    try:
        loaded = load(config, os.environ, secrets=is_worker, administration=not is_worker)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    settings = with_folder(loaded.settings, data_dir)
    logger.info(
        "settings from %s; Redis at %s; objects in %s",
        config or "the environment",
        mask_url(settings.redis.url),
        place_of(settings.object_store),
    )
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    return settings


def with_folder(settings: Settings, data_dir: Path | None) -> Settings:
    """The settings with the object store's place filled in when they name none."""
    if settings.object_store.path or settings.object_store.endpoint:
        return settings
    folder = (data_dir or default_data_dir(os.environ)).resolve() / "objects"
    return replace(settings, object_store=replace(settings.object_store, path=str(folder)))


def place_of(store: ObjectStoreSettings) -> str:
    """Where an object store is, for people."""
    return f"S3 at {store.endpoint}, bucket {store.bucket}" if store.endpoint else f"{store.path}"


def refuse_taken(host: str, port: int) -> None:
    """Raises click.ClickException when the port cannot be listened on."""
    if reason := why_not_served(host, port):
        raise click.ClickException(reason)

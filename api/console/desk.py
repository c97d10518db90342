"""What the console's pages have at hand."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from api.admin_door import OperatorDoor
from api.auth import ANONYMOUS
from api.batch_intake import Intake
from api.submit import Gateway
from shared import webhook_events
from shared.batch_records import BatchRecords
from shared.files import Files
from shared.governance_keyring import Keyring
from shared.job_index import JobIndex
from shared.job_register import JobRegister
from shared.settings import Settings
from shared.stores.redis import RedisStore
from shared.webhook_book import WebhookBook

OPERATOR = "console"
"""Owner of what is submitted from the console: no client is called so."""
OF_BATCHES = "batch:"
"""Before an owner, the owner of the shards of its batches."""
PAGE = 50
"""Rows of a page."""


class Desk(msgspec.Struct, frozen=True):
    """What the console's pages have at hand."""

    settings: Settings
    store: RedisStore
    door: OperatorDoor
    gateway: Gateway
    keyring: Keyring
    batch_records: BatchRecords
    intake: Intake
    stored_files: Files
    index: JobIndex
    register: JobRegister
    webhooks: WebhookBook

    @property
    def show_content(self) -> bool:
        """Whether what was asked and answered may be shown."""
        return self.settings.governance.admin.show_content

    def owners(self) -> dict[str, str]:
        """Who owns things, by the name that people know."""
        names = {grant.owner: grant.key.name for grant in self.keyring.grants()}
        return {ANONYMOUS: "no key", OPERATOR: "console", **names}

    def namer(self) -> Callable[[str], str]:
        """From an owner to its name; of an unknown key its hash. Shards of batches have an owner of their own."""
        names = self.owners()

        def name(owner: str) -> str:
            if owner.startswith(webhook_events.OWNER):
                return f"webhook {owner.removeprefix(webhook_events.OWNER)}"
            whose = owner.removeprefix(OF_BATCHES)
            known = names.get(whose, whose)
            return known if whose == owner else f"{known}, batches"

        return name

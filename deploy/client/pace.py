"""When to ask a gateway again."""

from __future__ import annotations

import sys
import time

import click

from deploy.client.gateway import Absent, Away

SOONEST_S, LATEST_S = 0.2, 1.0
GROWS = 1.5
OUTAGE_S = 60.0
"""How long a gateway may be away, as during a restart, before whoever follows something gives up."""


class Pace:
    """Waits between questions, longer as time goes by, and outlasts a gateway that was there and is away."""

    def __init__(self) -> None:
        self._pause_s = SOONEST_S
        self._known = False
        self._away_since: float | None = None

    def rest(self) -> None:
        """The gateway has answered: wait until it makes sense to ask again."""
        self.answered()
        self._sleep()

    def answered(self) -> None:
        """The gateway is there."""
        self._known, self._away_since = True, None

    def outlast(self, trouble: Away) -> None:
        """Wait until it makes sense to try again.

        Raises:
            Away: `trouble`, when the gateway has been away for OUTAGE_S, or nobody ever was there.
        """
        now = time.monotonic()
        self._known = self._known or not isinstance(trouble, Absent)
        if not self._known or (self._away_since is not None and now - self._away_since > OUTAGE_S):
            raise trouble
        if self._away_since is None:
            self._away_since = now
            beneath = "\n" if sys.stderr.isatty() else ""  # the line at hand may not be ended
            click.echo(f"{beneath}trying again for {OUTAGE_S:g} s: {trouble.format_message()}", err=True)
        self._sleep()

    def _sleep(self) -> None:
        time.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * GROWS, LATEST_S)

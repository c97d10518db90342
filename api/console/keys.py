"""Virtual keys: what each has spent of what it may; created and revoked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api import admin_views as views
from api.admin_desk import KeyDesk, Meters, View, customer_desk, team_desk
from api.admin_door import read_form
from api.console.desk import PAGE, Desk
from api.console.render import HOME, page, query, see_other
from api.submit import AnyRequest
from shared.errors import GatewayError, InvalidRequest
from shared.governance import Grant
from shared.governance_keyring import Keyring
from shared.governance_records import KEYS, GovernanceRecords
from shared.governance_settings import Customer, Team
from shared.ids import now_ms

PERIODS = (("1h", "an hour"), ("1d", "a day"), ("1w", "a week"), ("1M", "a month"))

_encode = msgspec.json.Encoder().encode


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The pages."""
    listing = _Listing(desk)
    key_desk = KeyDesk(desk.keyring, listing.records, listing.meters, desk.settings)

    @get("/keys")
    async def list_keys(request: AnyRequest) -> ASGIApp:
        """All keys with what they have used, in pages."""
        return await listing.page(request)

    @post("/keys", status_code=200)
    async def create(request: AnyRequest) -> ASGIApp:
        """Create a key; its value is on this page and nowhere after."""
        try:
            made = await key_desk.create(_encode(_body(await read_form(request))))
        except GatewayError as error:
            return await listing.page(request, problem=error.message)
        return await listing.page(request, made=made)

    @post("/keys/{name:str}/revoke")
    async def revoke(name: str) -> ASGIApp:
        """Refuse a key from now on."""
        await key_desk.revoke(name)
        return see_other(f"{HOME}/keys")

    return [list_keys, create, revoke]


class _Listing:
    """The page of keys."""

    def __init__(self, desk: Desk) -> None:
        self.meters = Meters(desk.store)
        self.records = GovernanceRecords(desk.store)
        self._keyring = desk.keyring
        parts = desk.keyring, self.records, self.meters
        self._shared_desks = customer_desk(*parts), team_desk(*parts)

    async def page(self, request: AnyRequest, *, made: View | None = None, problem: str = "") -> ASGIApp:
        """Those whose names hold `?name`, from `?from` on; above them the key that was `made`, or why none was."""
        name, start = request.query_params.get("name", "").strip(), _start(request.query_params.get("from", "0"))
        grants = [grant for grant in self._keyring.grants() if name.lower() in grant.key.name.lower()]
        following = start + PAGE
        return page(
            request,
            "keys.html",
            rows=await self._rows(grants[start:following]),
            total=len(grants),
            name=name,
            next=f"{HOME}/keys{query(name=name, **{'from': str(following)})}" if following < len(grants) else "",
            first=f"{HOME}/keys{query(name=name)}" if start else "",
            teams=_by_name(self._keyring.teams),
            customers=_by_name(self._keyring.customers),
            shared=[view for desk in self._shared_desks for view in await desk.all()],
            periods=PERIODS,
            made=made,
            problem=problem,
        )

    async def _rows(self, grants: list[Grant]) -> list[View]:
        readings = await self.meters.read(meter for grant in grants for meter in grant.meters())
        return [
            {
                **views.key_view(grant.key, readings, configured=self._keyring.is_set(KEYS, grant.owner)),
                "owner": grant.owner,
                "state": _state(grant),
                "shared_with": _shared_with(grant, self._keyring),
            }
            for grant in grants
        ]


def _state(grant: Grant) -> str:
    if not grant.key.active:
        return "revoked"
    return "expired" if grant.key.expires_ms is not None and grant.key.expires_ms <= now_ms() else "active"


def _shared_with(grant: Grant, keyring: Keyring) -> str:
    """Whose budgets the key spends besides its own, by name."""
    team = keyring.teams.get(grant.key.team_id)
    customer = keyring.customers.get(team.customer_id if team else grant.key.customer_id)
    named = [f"{kind} {each.name or each.id}" for kind, each in (("team", team), ("customer", customer)) if each]
    return " of ".join(named)


def _by_name(among: Mapping[str, Team] | Mapping[str, Customer]) -> list[tuple[str, str]]:
    """Id and name of each."""
    return sorted(((each.id, each.name or each.id) for each in among.values()), key=lambda each: each[1].lower())


def _start(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidRequest("from: expected a whole number.", param="from")
    return int(text[:9])


def _body(fields: dict[str, str]) -> dict[str, Any]:
    """The form in the words of the administration's API. Raises InvalidRequest."""
    body: dict[str, Any] = {name: fields.get(name, "").strip() for name in ("name", "description")}
    body |= {name: fields[name] for name in ("team_id", "customer_id") if fields.get(name)}
    if budget := fields.get("budget", "").strip():
        body["budgets"] = [{"max_limit": _figure("budget", budget), "reset_duration": fields.get("period", "1M")}]
    if requests := fields.get("requests", "").strip():
        body["rate_limit"] = {"request_max_limit": int(_figure("requests", requests))}
    return body


def _figure(name: str, text: str) -> float:
    try:
        figure = float(text)
    except ValueError:
        figure = math.nan
    if not math.isfinite(figure):
        raise InvalidRequest(f"{name}: expected a number, got {text[:40]!r}.", param=name)
    return figure

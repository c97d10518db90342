"""The console's page of keys: whose budgets a key spends, by name, and what is left of them."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.test_console_door import TOKEN, csrf_of, serving, sign_in

GOVERNANCE = {
    "customers": [{"id": "c-1", "name": "Acme", "budget": {"max_limit": 900, "reset_duration": "1Q"}}],
    "teams": [{"id": "t-1", "name": "Growth <b>", "customer_id": "c-1", "budget": {"max_limit": 70}}, {"id": "t-2"}],
    "virtual_keys": [
        {"name": "of-a-team", "value": "sk-bf-of-a-team", "team_id": "t-1"},
        {"name": "of-a-team-alone", "value": "sk-bf-of-a-team-alone", "team_id": "t-2"},
        {"name": "of-a-customer", "value": "sk-bf-of-a-customer", "customer_id": "c-1"},
        {"name": "of-nobody", "value": "sk-bf-of-nobody"},
        {"name": "of-the-past", "value": "sk-bf-of-the-past", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "of-no-use", "value": "sk-bf-of-no-use", "is_active": False},
    ],
}

KEYS = [key["name"] for key in GOVERNANCE["virtual_keys"]]


@pytest.fixture(scope="module")
def operator(server, tmp_path_factory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("keys")
    with serving(folder, server.url, {"admin": {"token": TOKEN}, "governance": GOVERNANCE}) as url:
        answer = sign_in(url, TOKEN)
        with httpx.Client(base_url=url, timeout=30, headers={"origin": url}, cookies=answer.cookies) as client:
            yield client


def rows(html: str, table: str) -> dict[str, list[str]]:
    """The cells of each row, by the text of the first one."""
    body = html.partition(table)[2].partition("<tbody>")[2].partition("</tbody>")[0]
    found = ([_text(cell) for cell in row.split("<td")[1:]] for row in body.split("<tr>")[1:])
    return {cells[0]: cells for cells in found}


def _text(cell: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", cell.partition(">")[2]).split())


def test_a_key_tells_by_name_whose_budgets_it_spends(operator):
    keys = rows(operator.get("/console/keys").text, 'id="rows"')
    assert {name: keys[name][4] for name in KEYS} == {
        "of-a-team": "team Growth &lt;b&gt; of customer Acme",
        "of-a-team-alone": "team t-2",
        "of-a-customer": "customer Acme",
        "of-nobody": "-",
        "of-the-past": "-",
        "of-no-use": "-",
    }


def test_a_key_that_is_refused_does_not_look_as_if_it_were_not(operator):
    keys = rows(operator.get("/console/keys").text, 'id="rows"')
    states = {name: cells[1] for name, cells in keys.items()}
    assert (states["of-the-past"], states["of-no-use"], states["of-nobody"]) == ("expired", "revoked", "active")


def test_teams_and_customers_show_what_they_may_spend(operator):
    shared = rows(operator.get("/console/keys").text, 'id="shared"')
    assert list(shared) == ["customer Acme", "team Growth &lt;b&gt;", "team t-2"]
    assert "$0 of $900 per quarter" in shared["customer Acme"][1]
    assert "$0 of $70 per month" in shared["team Growth &lt;b&gt;"][1]
    assert [cells[2] for cells in shared.values()] == ["-", "customer Acme", "-"]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"team_id": "t-1"}, "team Growth &lt;b&gt; of customer Acme"),
        ({"customer_id": "c-1"}, "customer Acme"),
        ({"team_id": "", "customer_id": ""}, "-"),
    ],
)
def test_a_key_is_made_for_a_team_or_a_customer(operator, chosen, said):
    name = f"made for {said}"
    made = operator.post("/console/keys", data={"name": name, "csrf": csrf_of(operator), **chosen})
    assert made.status_code == 200
    assert "sk-bf-" in made.text
    keys = rows(operator.get("/console/keys", params={"name": name.partition(" &")[0]}).text, 'id="rows"')
    assert said in [cells[4] for cells in keys.values()]


def test_a_key_of_both_is_refused_in_words(operator):
    both = {"name": "of both", "team_id": "t-1", "customer_id": "c-1", "csrf": csrf_of(operator)}
    assert "give either a team or a customer" in operator.post("/console/keys", data=both).text

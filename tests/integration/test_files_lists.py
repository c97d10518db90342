"""Listings of files: pages of both kinds, orders, purposes, and going on after what was deleted meanwhile."""

import pytest

from tests.integration.test_files import ANTHROPIC, BOTH, OPENAI, client, objects, refused, uploaded, url

__all__ = ["client", "objects", "url"]  # fixtures


async def some(client, count=5, path=OPENAI, **facts) -> list[str]:
    """The UUIDs of files, newest first."""
    ids = [(await uploaded(client, path, content=b"x", **facts))["id"] for _ in range(count)]
    return [uuid(shown) for shown in reversed(ids)]


def uuid(shown: str) -> str:
    return shown[-32:]


async def listed(client, path, **query) -> dict:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(page: dict) -> list[str]:
    return [uuid(file["id"]) for file in page["data"]]


@BOTH
async def test_an_empty_listing_has_no_ends(client, path):
    page = await listed(client, path)
    assert (page["data"], page["has_more"], page["first_id"], page["last_id"]) == ([], False, None, None)
    assert path == OPENAI or page["next_page"] is None


async def test_anthropics_newest_sdks_go_on_with_next_page_and_its_older_ones_with_after_id(client):
    made = await some(client)
    for how in ("page", "after_id"):
        shown, query = [], {}
        while True:
            page = await listed(client, ANTHROPIC, limit=2, **query)
            assert len(page["data"]) <= 2
            assert [page["first_id"], page["last_id"]] == [page["data"][0]["id"], page["data"][-1]["id"]]
            assert page["has_more"] == (page["next_page"] is not None)
            shown += ids(page)
            if not page["has_more"]:
                break
            assert page["next_page"].startswith("page_")
            query = {how: page["next_page"] if how == "page" else page["last_id"]}
        assert shown == made


async def test_anthropics_before_id_shows_the_page_that_stands_just_before(client):
    made = await some(client)
    page = await listed(client, ANTHROPIC, limit=2, before_id=f"file_{made[4]}")
    assert (ids(page), page["has_more"], page["next_page"]) == (made[2:4], True, None)
    page = await listed(client, ANTHROPIC, limit=2, before_id=page["first_id"])
    assert (ids(page), page["has_more"]) == (made[:2], False)


async def test_anthropics_ids_show_those_that_exist_on_one_page(client):
    made = await some(client)
    asked = [f"file_{made[3]}", "file_unknown", f"file_{made[1]}", f"file-{made[3]}"]
    for name in ("ids[]", "ids"):
        page = await listed(client, ANTHROPIC, **{name: asked})
        assert (ids(page), page["has_more"], page["next_page"]) == ([made[3], made[1]], False, None)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_openais_listing_goes_on_after_the_last_id_in_either_order(client, order):
    made = await some(client)
    first = await listed(client, OPENAI, limit=3, order=order)
    rest = await listed(client, OPENAI, limit=3, order=order, after=first["last_id"])
    assert (first["object"], first["has_more"], rest["has_more"]) == ("list", True, False)
    assert ids(first) + ids(rest) == (made if order == "desc" else made[::-1])


async def test_openais_listing_shows_one_purpose_however_many_others_there_are(client):
    [rare] = await some(client, 1, purpose="vision")
    await some(client, 4)
    [newer] = await some(client, 1, purpose="vision")
    assert ids(await listed(client, OPENAI, purpose="vision")) == [newer, rare]
    page = await listed(client, OPENAI, purpose="vision", limit=1)
    assert (ids(page), page["has_more"]) == ([newer], True)
    assert ids(await listed(client, OPENAI, purpose="evals")) == []


@BOTH
async def test_whoever_deletes_each_file_of_a_page_gets_the_next_page_all_the_same(client, path, store):
    made = await some(client, 6)
    shown, query = [], {}
    while True:
        page = await listed(client, path, limit=2, **query)
        for file in page["data"]:
            assert (await client.delete(f"{path}/{file['id']}")).status_code == 200
        shown += ids(page)
        if not page["has_more"]:
            break
        query = {"after_id" if path == ANTHROPIC else "after": page["last_id"]}
    assert shown == made
    assert ids(await listed(client, path)) == []
    assert await store.call("ZCARD", "hermod:files:anonymous") <= 1, "what is gone is taken off"


async def test_of_an_owner_who_never_lists_what_has_expired_is_taken_off_by_new_files(client, store):
    for _ in range(60):
        await uploaded(client, content=b"x")
        [key] = await store.call("KEYS", "hermod:file:*")
        await store.call("DEL", key)  # as its expiry does
    assert await store.call("ZCARD", "hermod:files:anonymous") < 30


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        *((ANTHROPIC, {"limit": value}, "limit") for value in ("0", "1001", "-1", "x", "", "0000000000001999")),
        *((OPENAI, {"limit": value}, "limit") for value in ("0", "10001", "1.5")),
        (OPENAI, {"order": "up"}, "order"),
        (OPENAI, {"after": "file-unknown"}, "after"),
        (ANTHROPIC, {"after_id": "file_unknown"}, "after_id"),
        (ANTHROPIC, {"before_id": "file_unknown"}, "before_id"),
        (ANTHROPIC, {"page": "page_unknown"}, "page"),
        (ANTHROPIC, {"page": "unknown"}, "page"),
        (ANTHROPIC, {"page": "page_x", "after_id": "file_x"}, "after_id"),
        (ANTHROPIC, {"ids[]": "file_x", "limit": "5"}, "ids"),
        (ANTHROPIC, {"ids[]": "file_x", "page": "page_x"}, "ids"),
        (ANTHROPIC, {"ids[]": [f"file_{number}" for number in range(101)]}, "ids"),
        (ANTHROPIC, {"scope_id": "session_x"}, "scope_id"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_query_that_cannot_be_answered_is_refused_by_its_parameter(client, path, query, names):
    await some(client, 1)
    refused(await client.get(path, params=query), 400, names)

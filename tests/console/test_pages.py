"""The console in a real browser: what an operator does there, and what must not happen to one."""

import json
import re
import uuid

import pytest
from playwright.sync_api import expect

from tests.console.asking import EVIL, anthropic_batch, batch, submit, upload
from tests.console.conftest import PAGES, PASSWORD, Visit, sign_in


def test_only_the_password_lets_in_and_signing_out_ends_the_session(context):
    page = context.new_page()
    page.goto("/console/jobs")
    expect(page).to_have_url(re.compile(r"/console/login\?next="))
    sign_in(page, "not the password")
    expect(page.get_by_role("alert")).to_have_text("That is not the password.")
    page.goto("/console/login?next=/console/jobs")
    page.get_by_label("Password of the administrator").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/console/jobs$"))
    [cookie] = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/console/login$"))
    context.add_cookies([cookie])
    page.goto("/console/")
    expect(page).to_have_url(re.compile("/console/login"))


def test_a_message_of_the_playground_is_answered_live(visit: Visit):
    page = visit.open("/console/playground")
    page.get_by_label("Model").fill("openai/sim-words-40+rate-40")
    page.get_by_label("Message").fill("Hello there")
    page.get_by_role("button", name="Send as an async job").click()
    answer = page.locator("#answer")
    expect(answer).not_to_be_empty()
    expect(page.locator("#state")).to_have_text("running")
    expect(page.locator("#state")).to_have_text("succeeded")
    assert len(answer.inner_text().split()) == 40
    expect(page.locator("#live .state").first).to_have_text("succeeded")
    visit.picture("playground-answered")


def test_a_job_can_be_watched_cancelled_and_run_again(visit: Visit):
    page = visit.open("/console/playground")
    page.get_by_label("Model").fill("openai/sim-words-5000+rate-20")
    page.get_by_label("Message").fill("A long story")
    page.get_by_role("button", name="Send as an async job").click()
    answer = page.locator("#answer")
    expect(answer).not_to_be_empty()
    before = len(answer.inner_text())
    expect(answer).to_have_text(re.compile(f".{{{before + 20}}}", re.DOTALL))
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#live .state").first).to_have_text("cancelled")
    first = page.url
    page.get_by_role("button", name="Run again").click()
    expect(page).not_to_have_url(first)
    expect(page.locator("#live .state").first).to_have_text("running")
    visit.picture("job-running")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#live .state").first).to_have_text("cancelled")


def test_a_failed_job_tells_its_attempts_and_not_what_was_asked(visit: Visit, client):
    secret = f"secret-{uuid.uuid4()}"
    body = {"model": "sim-400", "max_tokens": 5, "messages": [{"role": "user", "content": secret}]}
    job_id = client.post("/anthropic/v1/messages", json=body, headers={"x-bf-async": "true"}).json()["id"]
    page = visit.open(f"/console/jobs/{job_id}")
    expect(page.locator("#live .state").first).to_have_text("failed")
    expect(page.get_by_text("Rejected 400")).to_be_visible()
    assert secret not in page.content()
    visit.picture("job-failed")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("#live .state").first).to_have_text("failed")
    assert job_id not in page.url


def test_a_job_that_succeeded_says_why_it_cannot_be_run_again(visit: Visit, client):
    job_id = submit(client, "claude-haiku-5-5")
    page = visit.open(f"/console/jobs/{job_id}")
    expect(page.locator("#live .state").first).to_have_text("succeeded")
    expect(page.get_by_role("button", name="Run again")).to_be_disabled()
    expect(page.get_by_text("Its request is no longer kept")).to_be_visible()


def test_a_batch_is_seen_to_go_on_and_what_failed_is_run_again(visit: Visit, client):
    models = ["gpt-4o-mini"] * 20 + [f"sim-latency-{700 * n}" for n in range(1, 12)] + ["sim-400"] * 3
    batch_id = batch(client, models, {EVIL: EVIL})
    page = visit.open(f"/console/batches/{batch_id}")
    ended = page.locator("#ended")
    expect(ended).to_have_text(re.compile(r"^[1-9]\d* of 34"))
    seen = set()
    while "34 of" not in (now := ended.inner_text()):
        seen.add(now)
        page.wait_for_timeout(200)
    assert len(seen) >= 2, "the page follows the batch"
    expect(page.locator("#live .state").first).to_have_text("completed")
    visit.picture("batch")
    failed = page.locator("#failed")
    expect(failed.get_by_role("cell", name=f"33-{EVIL}")).to_be_visible()
    expect(failed.get_by_text("invalid_request_error 400")).to_have_count(3)
    page.get_by_role("button", name="Run the 3 others again").click()
    expect(page.locator("#ended")).to_have_text("3 of 3")
    assert batch_id not in page.url
    expect(page.get_by_text("Runs again")).to_be_visible()


@pytest.mark.parametrize(("make", "name"), [(batch, f"{{}}-{EVIL}"), (anthropic_batch, "item-{}")])
def test_every_item_that_failed_is_on_a_page_of_the_batch(visit: Visit, client, make, name):
    page = visit.open(f"/console/batches/{make(client, ['sim-400', 'gpt-4o-mini'] * 130)}")
    expect(page.locator("#live .state").first).to_have_text("completed")
    page.reload()
    seen = []
    while True:
        seen += page.locator("#failed tbody code").all_inner_texts()
        following = page.locator("#failed").get_by_role("link", name="Next")
        if not following.count():
            break
        following.click()
        page.wait_for_load_state()
    assert seen == [name.format(number) for number in range(0, 260, 2)]


def test_a_file_is_deleted_for_good_when_asked_twice(visit: Visit, client):
    name = f"{uuid.uuid4()}.jsonl"
    file = upload(client, b"{}", name)
    page = visit.open("/console/files")
    row = page.get_by_role("row").filter(has_text=name)
    for_good = row.get_by_role("button", name=f"Delete {name} for good")
    expect(for_good).to_be_hidden()
    row.get_by_text("Delete", exact=True).click()
    assert client.get(f"/openai/v1/files/{file}").status_code == 200
    for_good.click()
    expect(page.get_by_role("row").filter(has_text=name)).to_have_count(0)
    assert client.get(f"/openai/v1/files/{file}").status_code == 404


def test_a_job_that_waits_says_why_in_the_list(visit: Visit, client):
    submit(client, "sim-429")
    page = visit.open("/console/jobs?state=queued&model=sim-429")
    expect(page.locator(".why").first).to_contain_text(re.compile("limited|busy|later|retry", re.IGNORECASE))


def test_a_batch_can_be_cancelled(visit: Visit, client):
    page = visit.open(f"/console/batches/{batch(client, ['sim-latency-3000'] * 400)}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#live .state").first).to_have_text(re.compile("cancel"))
    expect(page.locator("#live .state").first).to_have_text("cancelled")


def test_a_key_is_created_shown_once_and_revoked(visit: Visit):
    name = f"team {uuid.uuid4()}"
    page = visit.open("/console/keys")
    page.get_by_text("Create a key").click()
    page.get_by_label("Name").first.fill(name)
    page.get_by_label("Budget in US dollars").fill("25")
    page.get_by_role("button", name="Create", exact=True).click()
    value = page.locator("#made").inner_text()
    assert value.startswith("sk-bf-")
    page.goto("/console/keys")
    assert value not in page.content()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("$25 per month")
    row.get_by_text("Revoke", exact=True).click()
    row.get_by_role("button", name=f"Revoke {name} for good").click()
    expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("revoked")


def test_a_key_that_cannot_be_made_says_why(visit: Visit):
    page = visit.open("/console/keys")
    page.get_by_text("Create a key").click()
    page.get_by_label("Name").first.fill("x")
    page.get_by_label("Budget in US dollars").fill("a lot")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("budget: expected a number")


def test_filters_narrow_the_list_without_a_reload_and_can_be_shared(visit: Visit, client):
    job_id = submit(client, "openai/gpt-of-a-rare-name")
    page = visit.open("/console/jobs")
    page.keyboard.press("/")
    expect(page.get_by_label("Model")).to_be_focused()
    page.keyboard.type("of-a-rare")
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.get_by_label("Model")).to_be_focused()
    expect(page).to_have_url(re.compile("model=of-a-rare"))
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator("[data-row]").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(job_id))
    page.go_back()
    expect(page.locator("[data-row]")).to_have_count(1)


def test_a_job_is_found_by_its_id(visit: Visit, client):
    job_id = submit(client, "claude-haiku-5-5")
    page = visit.open("/console/jobs")
    page.get_by_label("Job's id").fill(job_id)
    page.get_by_role("button", name="Go").click()
    expect(page).to_have_url(re.compile(job_id))


def test_what_callers_name_stays_text(visit: Visit, client):
    submit(client, EVIL)
    page = visit.open("/console/keys")
    page.get_by_text("Create a key").click()
    page.get_by_label("Name").first.fill(f"{EVIL} {uuid.uuid4()}")
    page.get_by_label("Description").fill(EVIL)
    page.get_by_role("button", name="Create", exact=True).click()
    batch_id = batch(client, [EVIL], {EVIL: EVIL})
    for path in (*PAGES, f"batches/{batch_id}"):
        visit.open(f"/console/{path}")
        assert page.locator("img").count() == 0
        if path in {"jobs", "keys", "files", f"batches/{batch_id}"}:
            assert page.get_by_text(EVIL).count() >= 1, path


def test_the_webhooks_page_tries_an_endpoint_out(visit: Visit):
    page = visit.open("/console/keys")
    token = page.locator("input[name=csrf]").first.get_attribute("value")
    made = page.evaluate(
        """([token, body]) => fetch('/admin/webhooks', {method: 'POST', body, headers: {
            'content-type': 'application/json', 'x-csrf-token': token}}).then((answer) => answer.status)""",
        [token, json.dumps({"name": "alarm", "url": "https://hooks.example/x", "events": ["batch.completed"]})],
    )
    assert made == 201
    visit.open("/console/webhooks")
    page.get_by_role("link", name="alarm").click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("cell", name="webhook.test")).to_be_visible()
    visit.picture("webhook")

"""The console in a real browser: what an operator does there, and what must not happen to one."""

import json
import re
import uuid

import httpx
import pytest
from playwright.sync_api import expect

from tests.console.conftest import PASSWORD, Visit, sign_in
from tests.contract.process import eventually

PAGES = ("", "jobs", "batches", "files", "providers", "keys", "webhooks", "playground")
EVIL = "<img src=x onerror=alert(1)>"
LAYOUT_SHIFTS = """() => new Promise((done) => {
    let sum = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
    }).observe({type: 'layout-shift', buffered: true});
    setTimeout(() => done(sum), 5000);
})"""
UNNAMED = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a, svg, meter')]
    .filter((each) => each.offsetParent !== null || each.tagName === 'svg')
    .filter((each) => !(each.labels && each.labels.length) && !each.getAttribute('aria-label')
                      && !each.textContent.trim())
    .map((each) => each.outerHTML)"""


@pytest.fixture(scope="module")
def client(gateway):
    with httpx.Client(base_url=gateway.url, timeout=30) as opened:
        yield opened


def submit(client, model, **headers):
    content = {"role": "user", "content": str(uuid.uuid4())}
    body = {"model": model, "max_tokens": 50, "messages": [content]}
    answer = client.post("/anthropic/v1/messages", json=body, headers={"x-bf-async": "true", **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def batch(client, models, metadata=None):
    requests = [
        {
            "custom_id": f"{number}-{EVIL}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": str(number)}]},
        }
        for number, model in enumerate(models)
    ]
    lines = "\n".join(map(json.dumps, requests)).encode()
    file = client.post(
        "/openai/v1/files", data={"purpose": "batch"}, files={"file": (f"{EVIL}.jsonl", lines, "application/jsonl")}
    )
    assert file.status_code == 200, file.text
    asked = {"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = client.post(
        "/openai/v1/batches",
        json={**asked, "metadata": metadata or {}},
        headers={"x-bf-batch-mode": "direct"},
    )
    assert made.status_code == 200, made.text
    return str(uuid.UUID(made.json()["id"].removeprefix("batch_")))


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
    models = ["gpt-4o-mini"] * 20 + [f"sim-latency-{300 * n}" for n in range(1, 12)] + ["sim-400"] * 3
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
    page.get_by_role("button", name="Run the 3 others again").click()
    expect(page.locator("#ended")).to_have_text("3 of 3")
    assert batch_id not in page.url
    expect(page.get_by_text("Runs again")).to_be_visible()


def test_a_batch_can_be_cancelled(visit: Visit, client):
    page = visit.open(f"/console/batches/{batch(client, ['sim-latency-2000'] * 200)}")
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
    expect(row).to_contain_text("$25 per 1M")
    row.get_by_role("button", name=f"Revoke {name}").click()
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


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_every_page_is_whole(visit: Visit, client, look):
    for model in ("claude-haiku-5-5", "openai/gpt-4o-mini", "openai/sim-500", "sim-429", "openai/sim-latency-20000"):
        submit(client, model)
    batch(client, ["gpt-4o-mini"] * 30 + ["sim-latency-3000"] * 30)
    page = visit.page
    page.emulate_media(color_scheme="dark" if look == "dark" else "light")
    if look == "phone":
        page.set_viewport_size({"width": 390, "height": 844})
    eventually(lambda: listed(visit) >= 5, 10, "the jobs are listed")
    for name in PAGES:
        visit.open(f"/console/{name}")
        visit.picture(f"{name or 'overview'}-{look}")
        assert page.locator("h1").count() == 1
        wide, most = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= most, f"{name} is wider than the window"
        assert page.evaluate(UNNAMED) == [], f"{name}: controls without a name"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the page"


def listed(visit):
    return visit.open("/console/jobs").locator("[data-row]").count()


def test_a_page_that_is_refreshed_does_not_jump_or_lose_the_focus(visit: Visit, client):
    submit(client, "sim-latency-8000")
    page = visit.open("/console/jobs")
    link = page.locator("[data-row]").first
    link.focus()
    focused = link.get_attribute("id")
    with page.expect_response(re.compile("/console/jobs")):
        assert page.evaluate(LAYOUT_SHIFTS) < 0.05
    assert page.evaluate("document.activeElement.id") == focused
    assert visit.open("/console/").evaluate(LAYOUT_SHIFTS) < 0.05


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

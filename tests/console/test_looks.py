"""How the console looks: whole on every screen, legible in both themes, and usable without a mouse."""

import re

import pytest
from playwright.sync_api import expect

from tests.console.asking import batch, submit
from tests.console.conftest import PAGES, Visit
from tests.contract.process import eventually

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
FAINT = """() => {
    const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const read = (text) => text.match(/[\\d.]+/g).map(Number);
    const over = ([r, g, b, a = 1], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const ratio = (one, two) => {
        const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const behind = (node) => {
        const colours = [];
        for (; node; node = node.parentElement) colours.push(read(getComputedStyle(node).backgroundColor));
        return colours.reverse().reduce((under, colour) => over(colour, under), [255, 255, 255]);
    };
    const found = [];
    const check = (node, colour, least, what) => {
        const at = behind(what === 'edge' ? node.parentElement : node), got = ratio(over(read(colour), at), at);
        if (got < least) found.push(`${what} ${got.toFixed(2)} < ${least}: ${node.outerHTML.slice(0, 120)}`);
    };
    for (const node of document.body.querySelectorAll('*')) {
        const style = getComputedStyle(node), shown = node.getClientRects().length && style.visibility === 'visible';
        if (!shown || node.matches(':disabled, script, option')) continue;
        const written = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const isSvg = node.namespaceURI.endsWith('svg');
        if (written && !(isSvg && node.tagName === 'title'))
            check(node, isSvg ? style.fill : style.color, large ? 3 : 4.5, 'text');
        if (node.placeholder) check(node, getComputedStyle(node, '::placeholder').color, 4.5, 'placeholder');
        if (node.matches('input, select, textarea, button.quiet')) check(node, style.borderTopColor, 3, 'edge');
        if (node.matches('circle, .columns rect, .good, .bad, .gone')) check(node, style.fill, 3, 'mark');
    }
    return found;
}"""
"""WCAG 2.2: 1.4.3 (text 4.5, large text 3) and 1.4.11 (edges of controls and marks of charts 3)."""
QUIET = "document.addEventListener('htmx:beforeRequest', (event) => event.preventDefault(), true)"
CONTROLS = """() => {
    const wanted = 'a[href], button:not(:disabled), input:not([type=hidden]), select, textarea, summary';
    const all = [...document.querySelectorAll(wanted)].filter((each) => each.checkVisibility());
    all.forEach((each, number) => { each.number = number; });
    return all.length;
}"""
FOCUSED = """() => {
    const node = document.activeElement, style = getComputedStyle(node), box = node.getBoundingClientRect();
    const seen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return [node.number ?? -1, seen && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
            node === document.body ? '' : node.outerHTML.slice(0, 120)];
}"""


@pytest.fixture
def filled(visit: Visit, client) -> str:
    """Something in every state; the path of a batch that has failures."""
    for model in ("claude-haiku-5-5", "openai/gpt-4o-mini", "openai/sim-500", "sim-429", "openai/sim-latency-20000"):
        submit(client, model)
    name = batch(client, ["gpt-4o-mini"] * 30 + ["sim-400"] * 5 + ["sim-latency-3000"] * 5)
    eventually(lambda: visit.open("/console/jobs").locator("[data-row]").count() >= 5, 60, "the jobs are listed")
    page = visit.open(f"/console/batches/{name}")
    expect(page.locator("#live .state").first).to_have_text("completed")
    return f"batches/{name}"


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_every_page_is_whole(visit: Visit, filled, look):
    page = visit.page
    page.emulate_media(color_scheme="dark" if look == "dark" else "light")
    if look == "phone":
        page.set_viewport_size({"width": 390, "height": 844})
    for name in (*PAGES, filled):
        visit.open(f"/console/{name}")
        visit.picture(f"{name.partition('/')[0] or 'overview'}{'-one' * ('/' in name)}-{look}")
        assert page.locator("h1").count() == 1
        wide, most = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= most, f"{name} is wider than the window"
        assert page.evaluate(FAINT) == [], name
        assert page.evaluate(UNNAMED) == [], f"{name}: controls without a name"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the page"


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


def test_every_control_of_every_page_is_reached_by_the_tab_key_in_order_and_seen_to_be(visit: Visit, filled):
    page = visit.page
    page.add_init_script(QUIET)
    for name in (*PAGES, filled):
        visit.open(f"/console/{name}")
        page.locator("details").evaluate_all("(all) => all.forEach((each) => { each.open = true; })")
        count, reached = page.evaluate(CONTROLS), []
        while len(reached) < count:
            page.keyboard.press("Tab")
            number, seen, what = page.evaluate(FOCUSED)
            assert what, f"{name}: the focus has left the page after {len(reached)} of {count} controls"
            assert seen, f"{name}: the focus cannot be seen on {what}"
            if number >= 0:  # others scroll
                reached.append(number)
        assert reached == list(range(count)), name

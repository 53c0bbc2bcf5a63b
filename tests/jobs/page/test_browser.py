"""The page in headless Chromium, where it is at hand: search, filters, keys, links into it, both widths, both colour schemes, 500 features."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from features.definitions.catalog import Catalog, load_catalog
from features.settings import load
from jobs import page
from jobs.page.runs import Problems
from tests.jobs.page.chromium import CHROMIUM, Browser, browser
from tests.jobs.page.homes import filled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]
LAPTOP, PHONE = (1280, 900), (390, 844)
_SEEN = "[...document.querySelectorAll('.card')].filter(card => card.checkVisibility()).map(card => card.id)"
_FOCUSED = "document.activeElement.closest('.card')?.id ?? document.activeElement.id"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page of more than 500 features, some with runs."""
    folder = tmp_path_factory.mktemp("page")
    home, small = filled(load(home=folder / "asof")), load_catalog("tests.jobs.page.catalogue_of_pages")
    more = tuple(replace(view, name=f"{view.name}_{n}") for n in range(34) for view in small.views)
    large = Catalog(
        views=(*small.views, *more),
        services=small.services,
        sources=small.sources,
        labels=small.labels,
        graphs=small.graphs,
    )
    assert sum(len(view.features) for view in large.views) > 500
    began = time.process_time()
    text = page.catalogue_page(home, large, Problems(), cuts=14)
    assert time.process_time() - began < 5
    path = folder / "many.html"
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def test_search_is_instant_and_by_keyboard(tab: Browser, many: str) -> None:
    tab.open(many, width=LAPTOP[0], height=LAPTOP[1])
    assert tab.ask("document.getElementById('told').textContent") == "595 features"
    tab.press("/")
    assert tab.ask(_FOCUSED) == "q"
    tab.type("declined page_habits_7")
    assert tab.ask(_SEEN) == ["page_habits_7.count_declined_7d", "page_habits_7.count_declined_7d_per_count_7d"]
    assert tab.ask("document.getElementById('told').textContent") == "2 of 595 features"
    assert tab.ask("[...document.querySelectorAll('.group')].filter(group => group.checkVisibility()).length") == 1
    tab.press("ArrowDown")
    tab.press("ArrowDown")
    assert tab.ask(_FOCUSED) == "page_habits_7.count_declined_7d_per_count_7d"
    tab.press("Enter")
    assert tab.ask("document.activeElement.parentElement.open")
    tab.press("ArrowUp")
    tab.press("ArrowUp")
    assert tab.ask(_FOCUSED) == "q"
    tab.press("Escape")
    assert tab.ask(f"{_SEEN}.length") == 595
    # A search over 500 features takes less than a frame or two of the screen, on a busy machine.
    typed = "(() => { const q = document.getElementById('q'); q.value = 'claims'; const began = performance.now(); q.dispatchEvent(new Event('input')); return performance.now() - began; })()"
    assert min(tab.ask(typed) for _ in range(5)) < 250
    assert tab.ask(f"{_SEEN}.length") == 70
    tab.ask(
        "(() => { const q = document.getElementById('q'); q.value = 'nothing has this'; q.dispatchEvent(new Event('input')); })()"
    )
    assert tab.ask("document.getElementById('none').checkVisibility()")


def test_filters_go_together(tab: Browser, many: str) -> None:
    tab.open(many, width=LAPTOP[0], height=LAPTOP[1])
    choose = "((kind, value) => {{ const one = document.querySelector(`select[data-kind=${{kind}}]`); one.value = value; one.dispatchEvent(new Event('change', {{ bubbles: true }})); }})('{}', '{}')"
    tab.ask(choose.format("service", "page_v1"))
    assert tab.ask(f"{_SEEN}.length") == 6
    tab.ask(choose.format("owner", "identity"))
    assert tab.ask(_SEEN) == ["page_record.country"]
    tab.ask("document.querySelector('button[type=reset]').click()")
    tab.ask("new Promise(done => setTimeout(done))")
    tab.ask(choose.format("entity", "account"))
    assert tab.ask(f"{_SEEN}.every(id => id.startsWith('linked_'))")
    assert tab.ask(f"{_SEEN}.length") == 6 * 35


def test_a_link_opens_its_feature_and_its_part(tab: Browser, many: str) -> None:
    tab.open(f"{many}#page_habits_9.count_7d", width=LAPTOP[0], height=LAPTOP[1])
    place = "document.getElementById('page_habits_9.count_7d')"
    assert tab.ask(f"{place}.open")
    assert tab.ask(f"(({{ top }}) => top >= 0 && top < 200)({place}.getBoundingClientRect())")
    tab.ask("location.hash = '#source:page_buys'")
    tab.ask("new Promise(done => setTimeout(done, 50))")
    assert tab.ask(
        "[...document.querySelectorAll('.part')].filter(part => part.checkVisibility()).map(part => part.id)"
    ) == ["sources"]
    tab.ask("location.hash = '#nowhere.%E0%A4%A'")
    tab.ask("new Promise(done => setTimeout(done, 50))")
    assert tab.ask("document.getElementById('features').checkVisibility()")


@pytest.mark.parametrize(
    ("size", "scheme"), [(LAPTOP, "light"), (LAPTOP, "dark"), (PHONE, "light")], ids=["laptop", "laptop at night", "phone"]
)  # fmt: skip
@pytest.mark.parametrize("place", ["#page_habits.count_7d", "#source:page_buys", "#views"])
def test_it_fits_asks_for_nothing_and_runs_no_script_of_others(
    tab: Browser, many: str, tmp_path: Path, size: tuple[int, int], scheme: str, place: str
) -> None:  # fmt: skip
    width, height = size
    tab.open(many + place, width=width, height=height, dark=scheme == "dark")
    # Wide tables scroll within themselves.
    assert tab.ask("document.documentElement.scrollWidth") == width
    assert tab.complaints() == []
    assert tab.ask("typeof window.hacked") == "undefined"
    assert tab.ask(_CONTRAST) >= 4.5
    tab.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


_CONTRAST = """(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (one) => { for (let at = one; at; at = at.parentElement) { const found = parts(getComputedStyle(at).backgroundColor); if (found.length < 4 || found[3] > 0) return found; } return [255, 255, 255]; };
  const ratio = (one) => { const [a, b] = [light(parts(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
  const texts = [...document.querySelectorAll('body *')].filter(one => one.checkVisibility() && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && !one.closest('svg'));
  return Math.min(...texts.slice(0, 400).map(ratio));
})()"""
"""The least contrast of a text with what is behind it, as WCAG counts it."""

"""`asof page`: what it says of features, views, sources, services and labels, of homes that are empty, filled and damaged. No Spark."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from features.definitions.catalog import load_catalog
from features.errors import BusyError
from features.settings import Settings, load
from jobs import page
from jobs.commands import Page
from jobs.page.runs import Problems
from tests.jobs.page.catalogue_of_pages import HABITS, HOSTILE, RECORD
from tests.jobs.page.homes import filled
from tests.jobs.page.reading import Element, read

CATALOG = "tests.jobs.page.catalogue_of_pages"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home that no test changes."""
    return filled(load(home=tmp_path_factory.mktemp("page") / "asof"))


@pytest.fixture(scope="module")
def found(kept: Settings) -> Element:
    return written(kept)


@pytest.fixture
def home(settings: Settings) -> Settings:
    return filled(settings)


def written(home: Settings) -> Element:
    assert page.run(Page(), home) == 0
    return read((home.docs / "catalogue.html").read_text(encoding="utf-8"))


def card(found: Element, name: str) -> Element:
    return found.one("details", id=name)


def test_each_feature_is_told_from_its_definition(found: Element) -> None:
    assert len(found.all("details", cls="card")) == sum(len(view.features) for view in load_catalog(CATALOG).views)
    told = card(found, "page_habits.count_declined_7d")
    assert (
        told.one("span", cls="meaning").text
        == "How many page buys of the buyer with status declined in the 7 days before the cut."
    )
    facts = told.facts()
    assert facts["Unit"] == "page buys"
    assert (facts["Type"], facts["When empty"], facts["Nulls"]) == ("int64", "0", "never null")
    assert facts["Reason code"] == "BUYER_VELOCITY_DECLINED"
    assert facts["Window"] == "7 days; reaches up to 3 hours further back"
    assert facts["Freshness"] == "cuts every 1d, served 1h later; windows end at the cut"
    assert (facts["Owner"], facts["Used by"]) == ("shop", "page_v1")
    ratio = card(found, "page_habits.count_declined_7d_per_count_7d").facts()
    assert ratio["Made of"] == "count_declined_7d , count_7d"
    assert card(found, "page_record.verified").facts()["Used by"] == "no service"


def test_a_view_whose_lookups_are_finished_from_states_says_how_large_they_get(found: Element) -> None:
    facts = found.one("article", id="view:page_claimed").facts()
    assert facts["State for lookups"].startswith("at most ")
    assert facts["State for lookups"].endswith(" kB a key, however many events it has")
    assert "State for lookups" not in found.one("article", id="view:page_habits").facts()


def test_lineage_goes_to_the_source_columns_through_parents_and_graphs(found: Element) -> None:
    lineage = card(found, "page_habits.count_declined_7d").one("ul", cls="tree")
    assert lineage.text == "page_buys page.buys status condition buyer_id key event_time time"
    claimed = card(found, "page_claimed.count_7d").one("ul", cls="tree").text
    assert (
        claimed == "page_buys page.buys buyer_id key through page_claims.buy_id page_claims page.claims event_time time"
    )
    marked = card(found, "linked_marked.distinct_other_ever").one("ul", cls="tree").text
    assert "linked_payments linked.payments account edge through linked_exposures device edge" in marked
    assert "linked_reports linked.reports account mark through linked_exposures" in marked
    assert "payee edge through linked_exposures ← large_transfers" in marked


def test_values_over_the_last_cuts(found: Element) -> None:
    told = card(found, "page_habits.count_7d")
    rows = [[cell.text for cell in row.all("td")] for row in told.one("tbody").all("tr")]
    assert rows[0] == ["2026-03-10T00-00Z", "warn", "0.0%", "40.0%", "0", "5", "5"]
    assert [row[1] for row in rows] == ["warn", "hold", "pass"]
    captions = [each.text for each in told.all("figcaption")]
    assert captions == [
        "median, and p10 to p90; 0 to 5",
        "null , default 0 ; 0 to 100%",
        "last cut, 100 keys drawn; 0 to 5",
    ]
    assert [each.text for each in told.all("rect")] == ["0: 40.0%", "5: 60.0%"]
    held = told.all("path", cls="held")
    assert {each.text for each in held} == {"2026-03-09T00-00Z, held: median 5, p10 0, p90 5"}
    waited = card(found, "page_habits.time_since_last_ever")
    assert [cell.text for cell in waited.one("tbody").all("tr")[0].all("td")][2:] == ["25.0%", "3 d", "3 d", "3 d"]
    born = card(found, "page_record.born").one("tbody").all("tr")[0]
    assert [cell.text for cell in born.all("td")][3:] == ["2025-12-10", "2026-01-19", "2026-02-28"]
    verified = [each.text for each in card(found, "page_record.verified").all("figcaption")]
    assert verified[0] == "share that is true; 88.9% to 88.9%"
    assert verified[2] == "last cut, 100 keys drawn; true 89%, false 11%"
    assert [each.text for each in card(found, "page_record.country").all("rect")] == ["DE: 70.0%", "<i>FR</i>: 30.0%"]


def test_expectations_and_parity_of_the_last_runs(found: Element) -> None:
    told = card(found, "page_habits.count_declined_7d")
    rules = [each.text for each in told.one("ul", cls="rules").all("li")]
    assert rules[0].startswith("failed count_declined_7d is at most count_7d")
    assert "failed drift/null_share/count_declined_7d says something. warns only observed 7, expected none" in rules
    assert "held count_declined_7d is not negative." in rules
    assert told.one("span", cls="bad").text == "2 failed"
    assert "Different: 4,321 values of 2 views" in card(found, "page_habits.count_7d").facts()["Parity"]
    assert "this feature is not among the examples kept" in told.facts()["Parity"]
    assert card(found, "page_claimed.count_7d").facts()["Parity"].startswith("Not proven yet")
    assert "not audited count_7d is not negative." in card(found, "page_claimed.count_7d").text


def test_views_sources_services_and_labels(found: Element) -> None:
    view = found.one("article", id="view:page_habits")
    assert view.one("p", cls="health").text.startswith("Published at 2026-03-10T00-00Z; 2 rules warn.")
    assert view.facts()["Cuts"] == "3 computed; of the last 3: 2 published, 1 held"
    (glance,) = [row for row in found.one("section", id="views").all("tbody")[0].all("tr") if "page_habits" in row.text]
    assert glance.text == "page_habits published, warns 2026-03-10T00-00Z 100 5 shop"
    assert "Frames only" in found.one("article", id="view:page_frames_only").text
    source = found.one("article", id="source:page_buys")
    assert source.facts()["Read by"] == "page_habits , page_claimed"
    days = [row.text for row in source.all("tbody")[1].all("tr")]
    assert days[:3] == ["2026-03-09 warn 1,009 1", "2026-03-08 held 1,008 0", "amounts are a hundredfold."]
    assert len(days) == 8
    assert "Not ingested yet" in found.one("article", id="source:page_buyers").text
    service = found.one("article", id="service:page_v1")
    assert service.facts() == {"Owner": "<b>models</b>", "Features": "6 of 2 views"}
    assert service.one("tbody").text == "page_habits.count_7d default null"
    label = found.one("article", id="label:claim").facts()
    assert label["Positive"] == "an outcome with reason fraud"
    assert label["Unobserved"] == "status blocked"


def test_hostile_text_stays_text_and_keys_stay_away(kept: Settings, found: Element) -> None:
    assert card(found, "page_habits.count_7d").one("span", cls="meaning").text == f"{HOSTILE}."
    assert len(found.all("script")) == 1
    assert not found.all("img")
    assert HOSTILE in found.one("article", id="source:page_buys").text
    text = (kept.docs / "catalogue.html").read_text(encoding="utf-8")
    # Examples of broken rules, differences and holds name a key; no value of a key column is on the page.
    assert "b17" not in text
    # Nothing is asked of anywhere: links lead into the page, and its policy lets nothing else.
    assert not re.search(r"""(src|href)=["'](?!#)""", text.replace(HOSTILE, ""))
    assert not re.search(r"url\(|@import|https?://", text)
    links = {each.attributes["href"][1:] for each in found.all("a")}
    places = {each.attributes["id"] for each in found.all("*") if "id" in each.attributes}
    assert links <= places


def test_without_any_run_the_page_says_what_has_not_run(settings: Settings) -> None:
    found = written(settings.model_copy(update={"catalog": CATALOG}))
    assert (
        found.one("article", id="view:page_habits").one("p", cls="health").text
        == "Not computed yet. `asof compute --cut …` does it."
    )
    assert not found.all("svg")
    assert "Not ingested yet" in found.one("article", id="source:page_buys").text
    assert not found.all("section", id="damaged")


def test_damaged_pieces_are_named_and_the_rest_is_there(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    base = Path(home.tables_root)
    attempt = next((base / "features/page_habits/cut=2026-03-10T00-00Z").iterdir())
    (attempt / "part-0.parquet").write_bytes(b"PAR1 no")
    (attempt / "_verdict.json").write_text("{")
    (next((base / "features/page_record/cut=2026-03-10T00-00Z").iterdir()) / "_verdict.json").write_text(
        '{"verdict": "pass"}'
    )
    (base / "asof/page_buys/2026-03-07.json").write_text('{"source": 1}')
    (base / "asof.db/proofs/broken.parquet").write_bytes(b"")
    found = written(home)
    damaged = [each.text for each in found.one("section", id="damaged").all("li")]
    for place in (
        "Values of view page_habits at 2026-03-10T00-00Z cannot be read: ", "The verdict of view page_habits at 2026-03-10T00-00Z cannot be read: ",
        "The verdict of view page_record at 2026-03-10T00-00Z cannot be read: ", "The partitions of source page_buys cannot be read: ",
        "The table asof.proofs cannot be read: ",
    ):  # fmt: skip
        assert sum(each.startswith(place) for each in damaged) == 1, (place, damaged)
    assert len(damaged) == 5
    assert "; pieces damaged and named on it: 5." in capsys.readouterr().out
    # The cut before has its values all the same.
    assert card(found, "page_habits.count_7d").one("tbody").all("tr")[0].text.startswith("2026-03-09T00-00Z hold")


def test_a_password_in_an_address_is_on_no_page() -> None:
    problems = Problems()

    def refused() -> None:
        msg = "s3a://key:secret@bucket/warehouse cannot be reached"
        raise OSError(msg)

    assert problems.or_none("The table", refused) is None
    assert problems.found == ["The table cannot be read: s3a://…@bucket/warehouse cannot be reached"]


def test_a_stale_view_and_one_that_is_held_say_so(home: Settings) -> None:
    later = home.model_copy(update={"clock": home.now().replace(day=20)})
    found = written(later).one("article", id="view:page_record")
    assert found.one("p", cls="health").text == "Stale: the last published cut 2026-03-10T00-00Z is 10 days old."
    (newest,) = (Path(home.tables_root) / "features/page_habits/cut=2026-03-10T00-00Z").iterdir()
    (newest / "_finished.json").unlink()
    held = written(home).one("article", id="view:page_habits").one("p", cls="health").text
    assert held.startswith("Held at 2026-03-09T00-00Z; 2026-03-08T00-00Z is served instead.")


def test_the_file_is_written_whole_where_it_is_asked_for(
    kept: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "page.html"
    assert page.run(Page(out=str(out), cuts=1), kept) == 0
    assert capsys.readouterr().out == f"The catalogue page of 17 features in 6 views is {out}.\n"
    assert [each.name for each in out.parent.iterdir()] == ["page.html"]
    assert len(read(out.read_text()).one("details", id="page_habits.count_7d").one("tbody").all("tr")) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(BusyError, match="cannot be written"):
        page.run(Page(out=str(tmp_path / "file" / "page.html")), kept)


def test_equal_runs_give_an_equal_page(kept: Settings) -> None:
    catalog = load_catalog(CATALOG)
    first, again = (page.catalogue_page(kept, catalog, Problems(), cuts=3) for _ in range(2))
    assert first == again
    assert HABITS.name in first
    assert RECORD.name in first


def test_the_page_needs_neither_spark_nor_feast(kept: Settings) -> None:
    code = f"""
import sys, jobs.cli
from features.settings import load
from jobs.commands import Page
assert jobs.cli.run(Page(), load(home={str(kept.home)!r}, catalog={CATALOG!r})) == 0
print([name for name in ("pyspark", "feast", "great_expectations", "numba", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

"""Views of a graph at its cuts and in frames: what a plain graph says that is rebuilt at each cut from all that was known by then."""

import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.names import cut_text, micros, utc
from features.errors import InputError, MissingError
from features.settings import Settings
from jobs import graph, ledger
from jobs.attempts import root
from jobs.commands import Graphs, Ingest
from jobs.compute import compute
from jobs.files import bytes_of, folders
from jobs.frame import frame
from jobs.graph import derive
from jobs.graph_state import first_changed
from jobs.ingest import ingest
from jobs.ingest import run as ingest_run
from jobs.known import known_rows
from jobs.tables import files_of
from tests.jobs import hostile_days as days
from tests.jobs.catalogue_of_graphs import COMPONENT, GRAPH, LINKS, MARKED, PAYMENTS, REPORTS, TRANSFERS
from tests.oracle_graphs import HUB, Rows, between, component, known_edges, linked, marked, neighbours

pytestmark = pytest.mark.slow
NAME = "tests.jobs.catalogue_of_graphs"
CATALOG = load_catalog(NAME)
SEED = 38
START = micros(datetime(2026, 3, 1, tzinfo=UTC))
DAY, DAYS = 86_400_000_000, 4
CUTS = [START + n * DAY for n in range(1, DAYS + 1)]
# In the order of their bytes "\uff5a" comes before the one after it; in that of UTF-16 after it.
ACCOUNTS = ("a", "b", "c", "d", "e", "f", "g", "\uff5a", "\U0001f600", "1:x", "")
DEVICES = ("u", "v", "w", "x", "y", "z", "1:x", None)
VIEWS = (LINKS, MARKED, COMPONENT)


def rows() -> dict[str, Rows]:
    """Late, corrected, voided; doubled edges, loops, null ends, transfers of nothing, times on the edges of days."""
    rng = random.Random(SEED)  # noqa: S311 - not for secrets
    made: dict[str, Rows] = {PAYMENTS.name: [], TRANSFERS.name: [], REPORTS.name: []}

    def at() -> int:
        return min(START + rng.randrange(DAYS) * DAY + rng.choice([0, 0, DAY - 1, rng.randrange(DAY)]), CUTS[-1] - 10)

    for n in range(28):
        known = at()
        row = {"id": f"p{n}", "account": rng.choice((*ACCOUNTS, None)), "device": rng.choice(DEVICES), "ver": 0, "gone": False, "event_time": known - 5, "known": known}  # fmt: skip
        made[PAYMENTS.name].append(row)
        if n % 4 == 0:
            made[PAYMENTS.name].append(
                {**row, "ver": 1, "known": known + rng.choice([1, 3]), **rng.choice([{"gone": True}, {"device": "w"}])}
            )
    for n in range(7):
        known = at()
        ends = {"account": rng.choice(ACCOUNTS), "payee": rng.choice(ACCOUNTS)}
        made[TRANSFERS.name].append({"id": f"t{n}", **ends, "amount": n % 3, "event_time": known - 5, "known": known})
    for n in range(5):
        known = at()
        row = {
            "id": f"r{n}",
            "account": rng.choice(ACCOUNTS),
            "ver": 0,
            "gone": False,
            "event_time": known - 5,
            "known": known,
        }
        made[REPORTS.name].append(row)
        if n % 2:
            made[REPORTS.name].append({**row, "ver": 1, "gone": True, "known": min(known + DAY, CUTS[-1] - 1)})
    return made


def meant(raw: dict[str, Rows], account: str, cut: int) -> dict[str, int]:
    """All features of the three views, by plain counting."""
    edges = known_edges(raw, cut)
    links, there = between(edges, account), component(edges, account)
    entities = {end for end in there if end[0] == "account"}
    before = {
        n: {end for end in component(known_edges(raw, cut - n * DAY), account) if end[0] == "account"} for n in (1, 2)
    }
    return {
        "distinct_other_ever": len({other for *_, other in links}),
        "distinct_other_device_ever": len({other for relation, _, other in links if relation == "device"}),
        "distinct_node_device_ever": len({node for relation, node, _ in links if relation == "device"}),
        "marked": len({other for *_, other in links} & marked(raw, cut)),
        "through": len({node for relation, node, other in links if relation == "device" and other in marked(raw, cut)}),
        "sum_entities_added_ever": len(entities),
        **{f"sum_entities_added_{n}d": len(entities) - len(before[n]) for n in (1, 2)},
        "sum_nodes_added_ever": len(there),
    }


@pytest.fixture(scope="module")
def raw() -> dict[str, Rows]:
    return rows()


@pytest.fixture(scope="module")
def home(
    spark: SparkSession, spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Rows]
) -> Iterator[Settings]:
    settings = spark_settings.model_copy(update={"home": tmp_path_factory.mktemp("graph"), "catalog": NAME})
    for source in (PAYMENTS, TRANSFERS, REPORTS):
        folder = tmp_path_factory.mktemp(source.name)
        for n in range(DAYS):
            mine = [row for row in raw[source.name] if START + n * DAY <= row["known"] < START + (n + 1) * DAY]
            days.write(mine, source, folder / f"ds={utc(START + n * DAY).date()}" / "part-0.parquet")
        ingest(spark, settings, source, str(folder))
    yield settings
    for source in (PAYMENTS, TRANSFERS, REPORTS, *GRAPH.sources):
        spark.sql(f"DROP TABLE IF EXISTS {source.table}")
    for place in ("asof", "features", "graphs", "sources"):
        shutil.rmtree(Path(settings.tables_root) / place, ignore_errors=True)


def forget(spark: SparkSession, home: Settings) -> None:
    """All that was derived."""
    for source in GRAPH.sources:
        spark.sql(f"DROP TABLE IF EXISTS {source.table}")
        shutil.rmtree(Path(home.tables_root) / "asof" / source.name, ignore_errors=True)
    (Path(home.tables_root) / "asof/graphs/linked.json").unlink(missing_ok=True)


def stored(spark: SparkSession) -> dict[str, list[str]]:
    return {source.table: sorted(map(str, spark.table(source.table).collect())) for source in GRAPH.sources}


def unasked(*_: object) -> None:
    raise AssertionError


@pytest.fixture(scope="module")
def at_once(spark: SparkSession, home: Settings) -> dict[str, list[str]]:
    """All days derived at once, as a backfill has it, and by Spark, as where the rows are many."""
    forget(spark, home)
    there = bytes_of(path for source in GRAPH.reads for path in files_of(spark.table(source.table)))
    many = home.model_copy(update={"spark": home.spark.model_copy(update={"few_bytes": there})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "land", unasked)
        assert len(derive(spark, many, GRAPH, CUTS[-1])) == DAYS
    return stored(spark)


def test_days_that_are_derived_one_after_another_are_the_graph_of_each_cut(
    spark: SparkSession,
    home: Settings,
    raw: dict[str, Rows],
    at_once: dict[str, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget(spark, home)
    monkeypatch.setattr(graph, "_land_by_spark", unasked)
    for cut, written in ((CUTS[1], CUTS[:2]), (CUTS[3], CUTS[2:])):
        assert derive(spark, home, GRAPH, cut) == tuple(str(utc(end - 1).date()) for end in written)
    assert derive(spark, home, GRAPH, CUTS[-1]) == ()
    # Within a day of which no partition is there yet, what is derived is still all there is.
    assert first_changed(home, GRAPH, CUTS[-1] + DAY // 4)[0] is None
    assert "linked: " in capsys.readouterr().out
    assert stored(spark) == at_once
    # At its cuts.
    for cut in CUTS:
        for made in compute(spark, home, VIEWS, [cut]):
            found = {
                row["account"]: row
                for path in Path(made.location).glob("[!_]*.parquet")
                for row in pq.ParquetFile(path).read().to_pylist()
            }
            for account in ACCOUNTS:
                want = wanted(meant(raw, account, cut), made.view)
                got = {name: found.get(account, dict.fromkeys(want, 0))[name] for name in want}
                assert got == want, (cut_text(cut), made.view, account)
    # In frames, at any instant: what the newest cut knew.
    asks = [(account, cut + lag) for account in ACCOUNTS for cut in CUTS[1:3] for lag in (3_599_999_999, 3_600_000_000)]
    labels = pa.table(
        {"account": [a for a, _ in asks], "event_timestamp": pa.array([t for _, t in asks], pa.timestamp("us", "UTC"))}
    )
    pq.write_table(labels, tmp_path / "labels.parquet")
    frame(
        spark,
        home,
        CATALOG,
        labels=str(tmp_path / "labels.parquet"),
        service="linked_v1",
        out=str(tmp_path / "frame.parquet"),
    )
    for (account, t), row in zip(asks, pq.read_table(tmp_path / "frame.parquet").to_pylist(), strict=True):
        cut = COMPONENT.schedule.cut_served(t)
        for view in VIEWS:
            want = wanted(meant(raw, account, cut), view.name)
            assert {name: row[f"{view.name}__{name}"] for name in want} == want, (account, t)


def wanted(all_of: dict[str, int], view: str) -> dict[str, int]:
    own = {
        "linked_links": ("distinct_other_ever", "distinct_other_device_ever", "distinct_node_device_ever"),
        "linked_component": (
            "sum_entities_added_1d",
            "sum_entities_added_2d",
            "sum_entities_added_ever",
            "sum_nodes_added_ever",
        ),
    }
    return (
        {"distinct_other_ever": all_of["marked"], "distinct_node_device_ever": all_of["through"]}
        if view == "linked_marked"
        else {name: all_of[name] for name in own[view]}
    )


def test_the_cases_are_not_empty(raw: dict[str, Rows]) -> None:
    edges = known_edges(raw, CUTS[-1])
    around = neighbours(edges)
    assert any(len(others) > HUB[relation] for (relation, _, _), others in around.items())
    assert len({len(component(edges, account)) for account in ACCOUNTS}) > 3
    assert any(linked(edges, account) for account in ACCOUNTS)
    for name in ("marked", "through"):
        assert any(meant(raw, account, cut)[name] for account in ACCOUNTS for cut in CUTS)
    assert any(meant(raw, a, CUTS[-1])["sum_entities_added_1d"] for a, _ in combinations(ACCOUNTS, 2))


def test_a_held_day_is_derived_anew_and_nobody_reads_what_was_derived_from_it(
    spark: SparkSession, home: Settings, raw: dict[str, Rows]
) -> None:
    forget(spark, home)
    derive(spark, home, GRAPH, CUTS[-1])
    day = str(utc(CUTS[1]).date())
    item = ledger.partition(home, PAYMENTS.name, day)
    assert item is not None
    ledger.hold(home, item, at=CUTS[-1], reason="test")
    with pytest.raises(MissingError) as changed:
        known_rows(spark, home, GRAPH.links, before=CUTS[-1])
    assert str(changed.value) == (
        f"Source 'linked_links' is derived from linked_payments, large_transfers, linked_reports, which for {day} are not what they were "
        f"(ingested, held or released since). Derive it again: `asof graph --cut {utc(CUTS[-1]).date()}`."
    )
    assert first_changed(home, GRAPH, CUTS[-1])[0] == day
    assert derive(spark, home, GRAPH, CUTS[-1]) == tuple(str(utc(cut).date()) for cut in CUTS[1:-1])
    held = {**raw, PAYMENTS.name: [row for row in raw[PAYMENTS.name] if not CUTS[1] <= row["known"] < CUTS[2]]}
    rows = known_rows(spark, home, GRAPH.components, before=CUTS[-1]).collect()
    for account in ACCOUNTS:
        assert sum(row["nodes_added"] for row in rows if row["account"] == account) == len(
            component(known_edges(held, CUTS[-1]), account)
        )
    ledger.record_ingest(home, item)


def killed_after(times: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """What it does so many times; then the process is killed."""
    left = iter(range(times))

    def once(*given: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*given)

    return once


def test_a_derivation_that_is_killed_is_run_again(
    spark: SparkSession, home: Settings, at_once: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(spark, home)
    derive(spark, home, GRAPH, CUTS[1])
    for line, times in (("land", 1), ("ingest", 2), ("record", 0)):
        monkeypatch.setattr(graph, line, killed_after(times, getattr(graph, line)))
        with pytest.raises(KeyboardInterrupt):
            derive(spark, home, GRAPH, CUTS[-1])
        monkeypatch.undo()
    assert derive(spark, home, GRAPH, CUTS[-1]) == tuple(str(utc(cut - 1).date()) for cut in CUTS[2:])
    assert stored(spark) == at_once
    landed = f"{root(home)}/graphs/{GRAPH.name}"
    assert len(folders(landed)) == 3, "what killed ones left, which might still run"
    forget(spark, home)
    derive(spark, home.model_copy(update={"clock": home.now() + timedelta(hours=25)}), GRAPH, CUTS[-1])
    assert folders(landed) == ()


def test_what_is_wrong_is_said(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError) as derived:
        ingest_run(Ingest(source="linked_links", input="nowhere"), home)
    assert str(derived.value) == (
        "Source 'linked_links' is derived from a graph: `asof graph --cut …` fills it. Ingest what the graph reads."
    )
    with pytest.raises(MissingError) as late:
        derive(None, home, GRAPH, CUTS[-1] + DAY)  # type: ignore[arg-type]  # refused before Spark is asked
    assert f"1 partition(s) of {PAYMENTS.table} before {utc(CUTS[-1] + DAY).date()} are missing" in str(late.value)
    other = home.model_copy(update={"catalog": "tests.jobs.shop"})
    assert graph.run(Graphs(cut=utc(CUTS[0])), other) == 0
    assert capsys.readouterr().out == "No view of this cut reads of a graph.\n"

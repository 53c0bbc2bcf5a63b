"""Rows that are derived from a graph, against a plain graph that is built anew at each cut."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features import Entity, Field, Graph, Relation, Source, col, fields
from features.values.graph_rows import component_rows, edges, exposure_rows, link_rows, links, marks, read_columns
from features.values.sweep import ARROW_TYPES
from features.values.versions import STORED_FIELDS
from tests.jobs.catalogue_of_graphs import GRAPH, PAYMENTS, REPORTS, TRANSFERS
from tests.oracle_graphs import Rows, between, component, known_edges, marked

DAY = 86_400_000_000
START = 20_000 * DAY
CUTS = [START + n * DAY for n in (1, 2, 3)]
ENOUGH = 10_000
LARGE = GRAPH.relations[1].sources[0]
# In the order of their bytes the last but one comes before the last; in that of UTF-16 after it.
ACCOUNTS = ("a", "b", "c", "1:x", "", "\uff5a", "\U0001f600")
DEVICES = ("u", "v", "1:x", None)


def told(graph: Graph, source: Source, rows: Rows) -> pa.Table:
    """What of versions is known: each takes back the one before it, and counts unless it is a void."""
    made: Rows = []
    newest: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row.get("ver", 0)):
        before = newest.get(row["id"])
        if before is not None and not before["gone"]:
            made.append({**before, "asof_known_at": row["known"], "asof_undoes": before["known"], "asof_op": "retract"})
        if not row.get("gone"):
            made.append({**row, "asof_known_at": row["known"], "asof_undoes": None, "asof_op": "add"})
        newest[row["id"]] = row
    kinds = {name: ARROW_TYPES[kind] for name, kind in source.types.items()} | {f.name: f.type for f in STORED_FIELDS}
    return pa.table({name: pa.array([row[name] for row in made], kinds[name]) for name in read_columns(graph, source)})


def derived(raw: dict[str, Rows]) -> dict[str, Rows]:
    """Rows of all that is derived of raw ones, instants as integers."""
    given_by = {PAYMENTS: PAYMENTS, LARGE: TRANSFERS, REPORTS: REPORTS}
    known = {source.name: told(GRAPH, source, raw[by.name]) for source, by in given_by.items()}
    made = edges(GRAPH, known, CUTS[-1])
    through = links(GRAPH, made, ENOUGH)
    assert through is not None
    parts = {
        GRAPH.links: link_rows(GRAPH, through, CUTS[-1]),
        GRAPH.exposures: exposure_rows(GRAPH, through, marks(GRAPH, known), CUTS[-1], ENOUGH),
        GRAPH.components: component_rows(GRAPH, made, since=START, most=ENOUGH),
    }
    found = {"edges": made.to_pylist()}
    for source, rows in parts.items():
        assert rows is not None
        assert rows.schema == pa.schema([(column.name, ARROW_TYPES[column.stored]) for column in source.columns])
        at = {name: rows[name].cast(pa.int64()) for name in ("event_time", "known_at")}
        found[source.name] = pa.table({name: at.get(name, rows[name]) for name in rows.column_names}).to_pylist()
    return found


def standing(rows: Rows, cut: int) -> list[tuple[str, tuple[str, str | None, str]]]:
    """(account, (relation, node, other)) of rows that are known before a cut and not voided by then."""
    known = sorted((row for row in rows if row["known_at"] < cut), key=lambda row: row["version"])
    newest = {row["row_id"]: row for row in known}
    return [
        (row["account"], (row["relation"], row["node"], row["other"])) for row in newest.values() if not row["voided"]
    ]


AT = st.sampled_from([START + at for at in (0, 1, DAY - 1, DAY, DAY + 1, 2 * DAY - 1, 2 * DAY, 3 * DAY - 2)])
NULLABLE = st.sampled_from((*ACCOUNTS, None))


def versions(first: dict[str, Any], second: dict[str, Any] | None, after: int) -> Rows:
    """One or two versions of an event, the second known some time after the first."""
    first |= {"ver": 0, "gone": False, "event_time": START}
    known = min(first["known"] + after, CUTS[-1] - 1)
    return [first] if second is None else [first, {**first, "ver": 1, "known": known, **second}]


def events(name: str, first: dict[str, Any], second: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Rows]:
    one = st.tuples(st.fixed_dictionaries(first), second, st.sampled_from([1, DAY]))
    return st.lists(one, max_size=most).map(
        lambda drawn: [
            version for n, (row, changed, after) in enumerate(drawn) for version in versions({**row, "id": f"{name}{n}"}, changed, after)
        ]
    )  # fmt: skip


RAW = st.fixed_dictionaries({
    PAYMENTS.name: events(
        "p", {"account": NULLABLE, "device": st.sampled_from(DEVICES), "known": AT},
        st.sampled_from([None, None, {"gone": True}, {"device": "w"}, {"account": "a"}]), 10,
    ),
    TRANSFERS.name: events("t", {"account": NULLABLE, "payee": NULLABLE, "amount": st.integers(0, 2), "known": AT}, st.none(), 6),
    REPORTS.name: events("r", {"account": NULLABLE, "known": AT}, st.sampled_from([None, {"gone": True}, {"account": "b"}]), 3),
})  # fmt: skip


# Of one instant: the last by name of four devices finds an account that has three, and joins nothing. Later another comes when a mark ends.
CROWDED = [*(("a", device, START) for device in ("w", "v", "u", "1:x")), ("b", "w", START), ("b", "v", START), ("c", "u", START + 1)]  # fmt: skip


@settings(max_examples=80)
@given(RAW)
@example({
    PAYMENTS.name: [
        row for n, (account, device, known) in enumerate(CROWDED)
        for row in versions({"id": f"p{n}", "account": account, "device": device, "known": known}, None, 0)
    ],
    TRANSFERS.name: [], REPORTS.name: versions({"id": "r", "account": "a", "known": START}, {"gone": True}, 1),
})  # fmt: skip
def test_rows_say_at_each_cut_what_the_plain_graph_of_that_cut_does(raw: dict[str, Rows]) -> None:
    found = derived(raw)
    made = [(row["known"], row["relation"], row["subject"], row["node"]) for row in found["edges"]]
    assert sorted(made) == known_edges(raw, CUTS[-1])
    for rows in (found[source.name] for source in GRAPH.sources):
        assert len({(row["row_id"], row.get("version")) for row in rows}) == len(rows)
        assert all(row["event_time"] < row["known_at"] for row in rows if row.get("voided"))
    for cut in CUTS:
        there = known_edges(raw, cut)
        pairs, exposed = (standing(found[source.name], cut) for source in (GRAPH.links, GRAPH.exposures))
        for account in ACCOUNTS:
            others = between(there, account)
            assert {link for who, link in pairs if who == account} == others
            reported = {link for link in others if link[2] in marked(raw, cut)}
            assert {link for who, link in exposed if who == account} == reported
            grown = [row for row in found[GRAPH.components.name] if row["account"] == account and row["known_at"] < cut]
            nodes = component(there, account)
            entities = sum(kind == "account" for kind, _ in nodes)
            assert (sum(row["entities_added"] for row in grown), sum(row["nodes_added"] for row in grown)) == (
                entities,
                len(nodes),
            )
            assert not grown or (grown[-1]["entities"], grown[-1]["nodes"]) == (entities, len(nodes))


CUSTOMER = Entity(name="customer", keys=("customer",), type="int64")
LOGINS = Source(
    name="graph_logins", table="graphs.logins", known_at="known", lag="10us", keys=(("customer", ("who",)),), filter=col("ok") & (col("event_time") > col("before")),
    columns=(*fields("int64", "who port"), Field(name="ok", type="bool"), *fields("timestamp", "event_time before known")),
)  # fmt: skip
PORTS = Graph(
    name="ports", entity=CUSTOMER, marks=(LOGINS,), relations=(Relation(name="port", sources=(LOGINS,), to="port", hub=2),),
)  # fmt: skip


def test_ids_are_numbers_in_the_order_of_their_texts_and_a_lag_delays_a_row() -> None:
    names = ["who", "port", "ok", "event_time", "before", "known"]
    rows = [
        (10, 7, True, 1, 0, 5), (9, 7, True, 1, 0, 5), (-1, 7, True, 30, 0, 5), (8, 7, False, 1, 0, 1), (7, 7, True, 1, 1, 1), (6, 7, None, 1, 0, 1),
        (9, None, False, 1, 0, 2),
    ]  # fmt: skip
    table = pa.table({name: pa.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})
    assert read_columns(PORTS, LOGINS) == (*names[:5], "asof_op", "asof_known_at", "asof_undoes")
    instant = ARROW_TYPES["timestamp"]
    event_time, before, known_at = (table[name].cast(instant) for name in names[3:])
    known = {LOGINS.name: pa.table({
        **{name: table[name] for name in names[:3]}, "event_time": event_time, "before": before,
        "asof_op": ["add"] * len(rows), "asof_known_at": known_at, "asof_undoes": pa.nulls(len(rows), instant),
    })}  # fmt: skip
    made = edges(PORTS, known, 100)
    assert made.sort_by("subject").to_pylist() == [
        {"relation": "port", "subject": who, "node": "7", "known": at} for who, at in (("-1", 40), ("10", 11), ("9", 11))
    ]  # fmt: skip
    assert edges(PORTS, known, 11).num_rows == 0
    through = links(PORTS, made, 2)
    assert through is not None
    assert link_rows(PORTS, through, 40).select(["row_id", "customer", "other", "version"]).to_pylist() == [
        {"row_id": "4:port1:72:101:9", "customer": 10, "other": 9, "version": 0},
        {"row_id": "4:port1:71:92:10", "customer": 9, "other": 10, "version": 0},
    ]
    # The third of a port that has room for two ends the link of the first two.
    assert link_rows(PORTS, through, 41)["voided"].to_pylist() == [False, False, True, True]
    exposed = exposure_rows(PORTS, through, marks(PORTS, known), 41, 2)
    assert exposed is not None
    assert pc.unique(exposed["row_id"]).to_pylist() == [
        "4:port1:72:101:919:12:graph_logins-1:5", "4:port1:71:92:1019:12:graph_logins-1:5",
    ]  # fmt: skip
    grown = component_rows(PORTS, made, since=0, most=3)
    assert grown is not None
    assert sorted(grown["row_id"].to_pylist()) == ["1:92:40", "2:-12:40", "2:102:40"]


def test_nodes_of_two_relations_are_two_whatever_their_ids() -> None:
    named = pa.table({"relation": ["port", "host"], "subject": ["1", "2"], "node": ["7", "7"], "known": [0, 0]})
    relations = tuple(Relation(name=name, sources=(LOGINS,), to="port") for name in ("port", "host"))
    grown = component_rows(Graph(name="both", entity=CUSTOMER, relations=relations), named, since=0, most=2)
    assert grown is not None
    assert sorted(zip(grown["customer"].to_pylist(), grown["nodes"].to_pylist(), strict=True)) == [(1, 2), (2, 2)]


def test_what_is_more_than_the_most_is_not_derived() -> None:
    raw: dict[str, Rows] = {TRANSFERS.name: [], REPORTS.name: [], PAYMENTS.name: []}
    for n, account in enumerate("abc"):
        raw[PAYMENTS.name] += versions({"id": f"p{n}", "account": account, "device": "u", "known": START + n}, None, 0)
    raw[REPORTS.name] = versions({"id": "r0", "account": "a", "known": START}, None, 0)
    raw[TRANSFERS.name] = versions({"id": "t", "account": "d", "payee": "e", "amount": 1, "known": START}, None, 0)
    known = {source.name: told(GRAPH, source, raw[by]) for source, by in ((PAYMENTS, PAYMENTS.name), (LARGE, TRANSFERS.name), (REPORTS, REPORTS.name))}  # fmt: skip
    made = edges(GRAPH, known, CUTS[-1])
    assert links(GRAPH, made, 3) is None
    through = links(GRAPH, made, 4)
    assert through is not None
    assert exposure_rows(GRAPH, through, marks(GRAPH, known), CUTS[-1], 0) is None
    assert exposure_rows(GRAPH, through, marks(GRAPH, known), CUTS[-1], 1) is not None
    assert component_rows(GRAPH, made, since=START, most=4) is None
    assert component_rows(GRAPH, made, since=START, most=5) is not None

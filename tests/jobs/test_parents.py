"""What a child takes of its parent: the version known at the later of both, once and for good (semantics 4)."""

from typing import Any

import pyarrow as pa

from features.definitions.sources import Enrich, Source, fields
from features.values.sweep import ARROW_TYPES
from jobs.parents import enrich, enriched_schema, keep

AT = ARROW_TYPES["timestamp"]
PARENT = Source(
    name="parents", table="family.parents", columns=(*fields("string", "id shop"), *fields("int64", "amount"), *fields("timestamp", "event_time known")),
    known_at="known", event_id="id",
)  # fmt: skip
PLAIN = Source(
    name="children",
    table="family.children",
    columns=(*fields("string", "child parent"), *fields("timestamp", "event_time")),
    event_id="child",
)
CHILD = PLAIN.enrich(PARENT, on="parent", columns=("shop", "amount"), time="parent_time")


def link() -> Enrich:
    assert CHILD.enriched is not None
    return CHILD.enriched


def children(*rows: tuple[str, str | None, int]) -> pa.Table:
    """(child, parent, known)."""
    known = pa.array([row[2] for row in rows], pa.int64()).cast(AT)
    texts = {name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(("child", "parent"))}
    return pa.table({**texts, "event_time": known, "asof_known_at": known})


def parents(*rows: tuple[str, str, int, int], op: str = "add") -> pa.Table:
    """(id, shop, amount, known)."""
    known = pa.array([row[3] for row in rows], pa.int64()).cast(AT)
    texts = {name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(("id", "shop"))}
    times = pa.array([row[3] - 1 for row in rows], pa.int64()).cast(AT)
    ops = pa.array([op] * len(rows), pa.string())
    return pa.table(
        {
            **texts,
            "amount": pa.array([row[2] for row in rows], pa.int64()),
            "event_time": times,
            "asof_known_at": known,
            "asof_op": ops,
        }
    )


def found(made: pa.Table) -> list[tuple[Any, ...]]:
    """(child, shop, amount, parent's time, known), instants as microseconds."""
    micros = {name: made[name].cast(pa.int64()).to_pylist() for name in ("parent_time", "asof_known_at")}
    columns = (
        made["child"].to_pylist(),
        made["shop"].to_pylist(),
        made["amount"].to_pylist(),
        micros["parent_time"],
        micros["asof_known_at"],
    )
    return sorted(zip(*columns, strict=True))


def test_a_parent_known_before_gives_its_columns_and_leaves_known_at() -> None:
    made, waiting = enrich(CHILD, link(), children(("c", "p", 100)), parents(("p", "s", 5, 40)))
    assert found(made) == [("c", "s", 5, 39, 100)]
    assert made.schema == enriched_schema(CHILD)
    assert len(waiting) == 0


def test_a_parent_known_later_raises_known_at() -> None:
    made, _ = enrich(CHILD, link(), children(("c", "p", 100)), parents(("p", "s", 5, 150)))
    assert found(made) == [("c", "s", 5, 149, 150)]


def test_of_several_versions_the_newest_known_by_then_counts_also_in_the_same_microsecond() -> None:
    versions = parents(("p", "old", 1, 40), ("p", "same", 2, 100), ("p", "new", 3, 101))
    made, _ = enrich(
        CHILD, link(), children(("at", "p", 100), ("before", "p", 99), ("after", "p", 101), ("early", "p", 3)), versions
    )
    assert found(made) == [
        ("after", "new", 3, 100, 101),
        ("at", "same", 2, 99, 100),
        ("before", "old", 1, 39, 99),
        ("early", "old", 1, 39, 40),
    ]


def test_retractions_and_voids_of_a_parent_give_nothing() -> None:
    both = pa.concat_tables(
        [parents(("p", "s", 1, 40)), parents(("p", "s", 1, 60), op="retract"), parents(("q", "s", 1, 10), op="void")]
    )
    made, waiting = enrich(CHILD, link(), children(("c", "p", 100), ("d", "q", 100)), both)
    assert found(made) == [("c", "s", 1, 39, 100)]
    assert waiting["child"].to_pylist() == ["d"]


def test_without_a_parent_or_without_its_id_a_child_waits_as_it_came() -> None:
    here = children(("none", None, 1), ("strange", "x", 2), ("c", "p", 3), ("last", "zz", 4))
    made, waiting = enrich(CHILD, link(), here, parents(("p", "s", 1, 1)))
    assert [row[0] for row in found(made)] == ["c"]
    assert waiting.equals(here.take([0, 1, 3]))


def test_empty_tables_on_either_side() -> None:
    made, waiting = enrich(CHILD, link(), children(("c", "p", 1)), parents())
    assert (len(made), len(waiting)) == (0, 1)
    made, waiting = enrich(CHILD, link(), children(), parents(("p", "s", 1, 1)))
    assert (len(made), len(waiting)) == (0, 0)
    assert made.schema == enriched_schema(CHILD)


def test_the_order_and_the_chunks_of_the_input_change_nothing() -> None:
    rows = [("c1", "p1", 50), ("c2", "p2", 50), ("c3", "p1", 10), ("c4", "p2", 70)]
    versions = [("p1", "a", 1, 20), ("p2", "b", 2, 60), ("p1", "c", 3, 45), ("p2", "d", 4, 65)]
    wanted, _ = enrich(CHILD, link(), children(*rows), parents(*versions))
    chunks = pa.concat_tables([children(row) for row in reversed(rows)])
    made, _ = enrich(CHILD, link(), chunks, pa.concat_tables([parents(version) for version in reversed(versions)]))
    assert (
        found(made)
        == found(wanted)
        == [("c1", "c", 3, 44, 50), ("c2", "b", 2, 59, 60), ("c3", "a", 1, 19, 20), ("c4", "d", 4, 64, 70)]
    )


def stored(*rows: tuple[str, str, int, str, int]) -> pa.Table:
    """(child, parent, its own known_at, shop it took, known since)."""
    plain = children(*(row[:3] for row in rows)).drop_columns(["asof_known_at"])
    known = pa.array([row[4] for row in rows], pa.int64()).cast(AT)
    taken = {
        "t_shop": pa.array([row[3] for row in rows], pa.string()),
        "t_amount": pa.array([7] * len(rows), pa.int64()),
        "t_parent_time": known,
    }
    for name, column in {**taken, "asof_known_at": known}.items():
        plain = plain.append_column(name, column)
    return plain


def test_children_that_are_stored_keep_what_they_took_and_the_others_are_left() -> None:
    here = children(("new", "p", 100), ("c", "p", 100), ("none", None, 100), ("c", "p", 101), ("other", "q", 100))
    there = stored(("c", "p", 100, "late", 300), ("c", "p", 100, "s", 200), ("gone", "p", 100, "s", 200))
    kept, left = keep(CHILD, link(), here, there)
    assert found(kept) == [("c", "s", 7, 200, 200)]
    assert kept["asof_waits"].cast(pa.int64()).to_pylist() == [100]
    assert left.equals(here.take([0, 2, 3, 4]))


def test_the_same_child_stored_twice_is_kept_twice() -> None:
    # Without a known_at of its own a redelivery is the same row, which a later folder makes known later.
    one = children(("c", "p", 100))
    known = one.schema.get_field_index("asof_known_at")
    again = one.set_column(known, "asof_known_at", pa.array([250], pa.int64()).cast(AT))
    there = stored(("c", "p", 100, "new", 250), ("c", "p", 100, "s", 200))
    kept, left = keep(CHILD, link(), pa.concat_tables([again, one]), there)
    assert [row[1:2] + row[4:] for row in found(kept)] == [("new", 250), ("s", 200)]
    assert len(left) == 0

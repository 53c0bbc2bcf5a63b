"""Graphs: what they derive, and each thing that is wrong with one."""

import json
from typing import Any

import pytest

from features import DAILY, HOURLY, Entity, FeatureView, Field, Graph, Relation, Source, col, fields, flat, sum_
from features.definitions.catalog import Catalog, check
from features.definitions.compiled import compile_definition, hash_of, load_definition
from features.errors import InvalidDefinitionError

CARD = Entity(name="card", keys=("card",))
TIMES = fields("timestamp", "event_time known")
PAYMENTS = Source(
    name="payments", table="shop.payments", known_at="known", event_id="id",
    columns=(*fields("string", "id card device payer"), Field(name="amount", type="int64"), Field(name="share", type="float64"), *TIMES),
)  # fmt: skip
DEVICE = Relation(name="device", sources=(PAYMENTS,), to="device")
REPORTS = PAYMENTS.derive("reports", filter=col("amount") > 0)


def graph(**change: Any) -> Graph:
    given: dict[str, Any] = {"name": "cards", "entity": CARD, "relations": (DEVICE,)}
    return Graph(**given | change)


def test_its_sources_are_the_same_whenever_they_are_asked_for() -> None:
    made = graph(marks=(REPORTS,))
    assert [source.name for source in made.sources] == ["cards_links", "cards_components", "cards_exposures"]
    assert made.links is made.sources[0]
    assert made.exposures is made.sources[2]
    assert made.reads == (PAYMENTS, REPORTS)
    assert made.links.types == {
        "row_id": "string", "card": "string", "other": "string", "relation": "string", "node": "string", "version": "int64", "voided": "bool",
        "event_time": "timestamp", "known_at": "timestamp",
    }  # fmt: skip
    assert len(graph().sources) == 2


def test_a_view_of_it_comes_back_from_json_and_its_hash_follows_the_graph() -> None:
    def view(hub: int) -> FeatureView:
        made = graph(relations=(Relation(name="device", sources=(PAYMENTS,), to="device", hub=hub),))
        return FeatureView(
            name="sizes", entity=CARD, source=made.components, features=flat((sum_("entities_added", "7d"),))
        )

    back = load_definition(json.loads(json.dumps(compile_definition(view(3)))), FeatureView)
    assert hash_of(back) == hash_of(view(3)) != hash_of(view(4))
    assert back.source.graph is not None
    assert back.source.graph.relations[0].hub == 3


CHANGES = Source(
    name="cards_now",
    table="shop.cards",
    kind="changes",
    columns=(*fields("string", "card device"), *TIMES),
    known_at="known",
)
NUMBERED = Source(
    name="numbered",
    table="shop.numbered",
    columns=(Field(name="card", type="int64"), *fields("string", "device"), *TIMES),
)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two keys": ({"entity": Entity(name="pair", keys=("card", "shop"))}, "its entity 'pair' has the keys ('card', 'shop'). A node has one key column: name an entity with one."),
    "no relations": ({"relations": ()}, "it has no relations. Name at least one: what entities share."),
    "twice": ({"relations": (DEVICE, DEVICE)}, "it has two relations 'device'. Join their sources, or rename one."),
    "hub": ({"relations": (Relation(name="device", sources=(PAYMENTS,), to="device", hub=0),)}, "relation 'device' has the hub 0. At least 1 neighbour."),
    "no sources": ({"relations": (Relation(name="device", sources=(), to="device"),)}, "relation 'device' has no sources. Name at least one."),
    "no column": (
        {"relations": (Relation(name="ip", sources=(PAYMENTS,), to="ip"),)},
        "relation 'ip' leads to 'ip', which source 'payments' does not have. It has ['amount', 'card', 'device', 'event_time', 'id', 'known', 'payer', 'share'].",
    ),
    "a float": (
        {"relations": (Relation(name="share", sources=(PAYMENTS,), to="share"),)},
        "relation 'share' leads to 'share', which is float64 in source 'payments'. A node is named by text or an int64; of the same kind, as the entity's key is.",
    ),
    "another kind": (
        {"relations": (Relation(name="pays", sources=(PAYMENTS,), to="amount", same=True),)},
        "relation 'pays' leads to 'amount', which is int64 in source 'payments'. A node is named by text or an int64; of the same kind, as the entity's key is.",
    ),
    "key of another type": (
        {"relations": (Relation(name="device", sources=(NUMBERED,), to="device"),)},
        "relation 'device' reads source 'numbered', whose column 'card' is int64. The key of 'card' is string; say which column holds it with keys=.",
    ),
    "changes": (
        {"relations": (Relation(name="device", sources=(CHANGES,), to="device"),)},
        "relation 'device' reads source 'cards_now' of kind changes. Edges and marks come from events.",
    ),
    "of a graph": (
        {"marks": (graph().links,)},
        "the mark 'cards_links' reads source 'cards_links', which is derived from a graph. Edges and marks come from sources that are ingested.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(InvalidDefinitionError) as wrong:
        graph(**change)
    assert str(wrong.value).partition(": Graph 'cards': ")[2] == message


@pytest.mark.parametrize(
    ("schedule", "grid", "fits"), [(DAILY, DAILY, True), (HOURLY, DAILY, False), (DAILY, HOURLY, True)]
)
def test_views_of_components_have_no_cuts_but_the_graphs(schedule: Any, grid: Any, fits: bool) -> None:  # noqa: FBT001
    made = graph(schedule=grid)
    view = FeatureView(
        name="sizes",
        entity=CARD,
        source=made.components,
        features=flat((sum_("entities_added", "7d"),)),
        freshness=schedule,
    )
    said = [line.partition(": FeatureView ")[2] for line in check(Catalog(views=(view,), graphs=(made,)))]
    wrong = "'sizes': it reads 'cards_components', which is told at the cuts of graph 'cards', 1d apart. Give the view a schedule with no other cuts."
    assert said == ([] if fits else [wrong])

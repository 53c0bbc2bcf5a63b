"""In which order several sources are ingested."""

from dataclasses import replace

from jobs.ingest import generations
from tests.jobs.shop import CARDS, DISPUTES, PAYMENTS


def test_a_source_comes_after_its_parent_where_both_are_ingested() -> None:
    assert DISPUTES.enriched is not None
    assert DISPUTES.enriched.parent is PAYMENTS
    grandchild = replace(
        DISPUTES, name="answers", table="shop.answers", enriched=replace(DISPUTES.enriched, parent=DISPUTES)
    )
    assert generations([grandchild, DISPUTES, CARDS, PAYMENTS]) == [[CARDS, PAYMENTS], [DISPUTES], [grandchild]]
    assert generations([grandchild, CARDS]) == [[grandchild, CARDS]]
    assert generations([]) == []

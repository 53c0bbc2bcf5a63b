"""What is wrong with request fields is said where the view is written."""

from typing import Any

import pytest

from features import (
    DAILY,
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Field,
    Schedule,
    Source,
    cohort_rate,
    col,
    count,
    fields,
    flat,
    mean,
    requested,
    zscore,
)
from features.definitions.catalog import Catalog, check
from features.definitions.compiled import compile_definition, hash_of, load_definition
from features.definitions.lineage import lineage
from features.definitions.meanings import meaning, null_rule, request_text
from features.definitions.requests import followers, request_fields
from features.definitions.units import reason_code, unit
from features.errors import InvalidDefinitionError

CARD = Entity(name="card", keys=("card",))
SALES = Source(
    name="sales", table="raw.sales", event_id="id", known_at="known",
    columns=(
        *fields("string", "id card shop ip"), *fields("int64", "amount_minor"), Field(name="network", type="string", computed=col("ip").subnet()),
        Field(name="night", type="bool", computed=col("event_time").hour() < 6), *fields("timestamp", "event_time known"),
    ),
)  # fmt: skip
OUTCOMES = Source(
    name="outcomes", table="raw.outcomes", event_id="oid", columns=(*fields("string", "oid id card"), *fields("timestamp", "event_time"))
)  # fmt: skip
LIVE = EventFreshness(lag="0")


def view(**more: Any) -> FeatureView:
    given: dict[str, Any] = {
        "name": "v",
        "entity": CARD,
        "source": SALES,
        "freshness": LIVE,
        "features": flat((count("1h"),)),
        **more,
    }
    return FeatureView(**given)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"request": ("amount_minor",), "freshness": DAILY, "include_self": True}, r"nothing of it is finished when it is asked\. Give it EventFreshness, or a schedule with anchor=\"ask\""),
    ({"include_self": True, "freshness": DAILY}, "nothing of it is finished when it is asked"),
    ({"request": ("amount",), "include_self": True}, r"request field 'amount' is no column of source 'sales'\. Use \['amount_minor', "),
    ({"request": ("card",), "include_self": True}, r"request field 'card' is what the ask says by its key or its instant, or tells one version from another\. Leave it out"),
    ({"request": ("event_time",), "include_self": True}, "request field 'event_time' is what the ask says"),
    ({"request": ("network",), "include_self": True}, r"request field 'network' is computed\. Ask for \['ip'\], from which it follows"),
    ({"request": ("shop", "shop"), "include_self": True}, r"a request field is named twice\. Name each once"),
    ({"request": ("shop", "amount_minor"), "features": (requested("shop"),)}, r"nothing uses the request fields \['amount_minor'\]\. Take them out, or use requested\(\) or include_self"),
    ({"features": (requested("shop"),)}, r"feature 'requested_shop': 'shop' is no request field of the view\. Add it to request; there are \[\]"),
    ({"include_self": True, "source": SALES.derive("some", filter=col("shop") == "s")}, r"its source keeps rows by \['shop'\], which no request field gives: no ask would ever count\. Declare them"),
    ({"include_self": True, "freshness": Schedule(anchor="ask"), "outcomes": (OUTCOMES,), "features": flat((cohort_rate(OUTCOMES, of="id", over="30d", delay="7d"),))},
     r"a rate counts outcomes, and an ask has none\. Put rates into a view without include_self"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "says"), WRONG)
def test_what_is_wrong_is_said(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=says):
        view(**given)


def test_computed_columns_follow_from_fields_and_the_asked_instant() -> None:
    assert followers(SALES, ("ip",)) == ("network", "night")
    assert followers(SALES, ("shop",)) == ("night",)
    nights = view(include_self=True, source=SALES.derive("nights", filter=col("night")))
    assert nights.include_self


def test_a_definition_without_them_has_the_hash_it_had() -> None:
    plain, asked = view(), view(request=("shop",), include_self=True)
    assert "include_self" not in str(compile_definition(plain))
    assert len({hash_of(plain), hash_of(asked), hash_of(view(include_self=True))}) == 3
    again = load_definition(compile_definition(asked), FeatureView)
    assert (again.request, again.include_self, hash_of(again)) == (("shop",), True, hash_of(asked))


def test_a_service_whose_views_want_one_name_in_two_types_is_refused() -> None:
    other = Source(name="other", table="raw.other", event_id="id", columns=(*fields("string", "id card"), *fields("float64", "amount_minor"), *fields("timestamp", "event_time")))  # fmt: skip
    one, two = (
        view(name="one", request=("amount_minor",), include_self=True),
        view(name="two", source=other, request=("amount_minor",), include_self=True),
    )
    service = FeatureService(name="s", views=("one", "two"))
    catalog = Catalog(views=(one, two), services=(service,), sources=(SALES, other))
    assert [line for line in check(catalog) if "amount_minor" in line] == [
        f"{service.where}: FeatureService 's': its views want 'amount_minor' as float64 and as int64. Rename one of the columns, or make two services."
    ]
    assert request_fields((one,)) == {"amount_minor": "int64"}


def test_a_requested_value_is_described() -> None:
    asked = view(request=("amount_minor",), features=flat((mean("amount_minor", "7d"), requested("amount_minor"))))
    feature = asked.features[-1]
    assert meaning(asked, feature) == "The amount_minor that the ask itself brings, a request field."
    assert null_rule(asked, feature).startswith("null where the ask brings none")
    assert unit(asked, feature) == "minor units of the currency (cents)"
    assert reason_code(asked, feature) == "CARD_REQUEST_AMOUNT_MINOR"
    assert lineage(asked, "requested_amount_minor") == ()
    assert request_text(asked) == "amount_minor; nothing of it is counted"
    assert request_text(view(include_self=True)) == "nothing but the key; the ask counts as an event of its key"
    assert request_text(view()) == ""
    counted = view(request=("amount_minor",), include_self=True)
    assert meaning(counted, counted.features[0]).endswith(
        "in the hour up to the asked instant, the asked event included."
    )


def test_a_zscore_of_what_is_asked_needs_its_history() -> None:
    with pytest.raises(InvalidDefinitionError, match="it is derived from 'std_amount_minor_7d'"):
        view(
            request=("amount_minor",),
            features=flat(
                (
                    mean("amount_minor", "7d"),
                    requested("amount_minor"),
                    zscore("requested_amount_minor", of="amount_minor_7d"),
                )
            ),
        )

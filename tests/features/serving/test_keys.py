"""Keys that a person gives: a column that the source computes from others may be left out, and what does not fit is said."""

import numpy as np
import pytest

from features import Entity, EventFreshness, FeatureView, Field, Source, col, count, fields, flat
from features.errors import InputError
from features.serving.keys import Keys

_BROUGHT = (*fields("string", "id ip card_id"), Field(name="event_time", type="timestamp"))
_NETWORK = Field(name="network", type="string", computed=col("ip").subnet())
PAYMENTS = Source(name="payments", table="raw.payments", columns=(*_BROUGHT, _NETWORK), event_id="id")
LOGINS = Source(
    name="logins", table="raw.logins", columns=(*_BROUGHT, Field(name="network", type="string")), event_id="id"
)


def of(entity: str, column: str, source: Source = PAYMENTS) -> FeatureView:
    return FeatureView(
        name=f"{entity}_of_{source.name}",
        entity=Entity(name=entity, keys=(column,)),
        source=source,
        features=flat((count("7d"),)),
    )


IP, NETWORK, CARD = of("ip", "ip"), of("network", "network"), of("card", "card_id")


def test_a_network_follows_from_the_address() -> None:
    keys = Keys([IP, NETWORK], "service 's'")
    assert list(keys.required) == ["ip"]
    assert keys.typed([{"ip": "10.1.2.3"}, {"ip": "2001:db8::1"}, {"ip": "no address"}, {"ip": None}]) == [
        {"ip": "10.1.2.3", "network": "10.1.2.0/24"},
        {"ip": "2001:db8::1", "network": "2001:db8::/48"},
        {"ip": "no address", "network": None},
        {"ip": None, "network": None},
    ]


def test_what_is_given_is_taken_beside_what_follows() -> None:
    given: list[dict[str, object]] = [
        {"ip": "10.1.2.3", "network": "192.168.0.0/24"},
        {"ip": "10.1.2.3"},
        {"network": None, "ip": "10.9.9.9"},
    ]
    assert [key["network"] for key in Keys([NETWORK, IP], "service 's'").typed(given)] == [
        "192.168.0.0/24",
        "10.1.2.0/24",
        None,
    ]


def test_nothing_follows_from_what_nobody_gives() -> None:
    with pytest.raises(InputError) as told:
        Keys([NETWORK, CARD], "service 's'").typed([{"card_id": "c"}])
    assert (
        str(told.value)
        == "The key {'card_id': 'c'} does not fit service 's': it lacks network. It needs network=…, card_id=…."
    )


def test_nothing_follows_where_another_source_brings_the_column() -> None:
    assert list(Keys([IP, NETWORK, of("network", "network", LOGINS)], "service 's'").required) == ["ip", "network"]


def test_a_message_says_what_may_be_left_out() -> None:
    with pytest.raises(InputError) as told:
        Keys([NETWORK, IP], "service 's'").typed([{"address": "10.1.2.3"}])
    assert str(told.value) == (
        "The key {'address': '10.1.2.3'} does not fit service 's': it lacks ip; nobody asked for address. "
        "It needs ip=…; network follows from ip where it is left out."
    )


def test_a_wrong_type_is_said_before_anything_follows() -> None:
    with pytest.raises(InputError, match=r"The key ip=7 is int, but ip of entity 'ip' is text"):
        Keys([NETWORK, IP], "service 's'").typed([{"ip": 7}])


ASKED = FeatureView(
    name="asked", entity=Entity(name="card", keys=("card_id",)), freshness=EventFreshness(), request=("id", "ip", "amount", "share", "risky", "since"), include_self=True,
    source=Source(
        name="asked", table="raw.asked", event_id="id",
        columns=(*_BROUGHT, *fields("int64", "amount"), *fields("float64", "share"), *fields("bool", "risky"), *fields("timestamp", "since")),
    ),
    features=flat((count("7d"),)),
)  # fmt: skip
GIVEN: dict[str, object] = {
    "card_id": "c", "id": "p1", "ip": "10.1.2.3", "amount": 7, "share": 1, "risky": True, "since": "2026-03-01T01:00:00+01:00",
}  # fmt: skip


def test_request_fields_stand_beside_the_keys() -> None:
    texts: dict[str, object] = {**GIVEN, "amount": "7", "share": "1.0", "risky": "true", "since": 1_772_323_200_000_000}
    nulls: dict[str, object] = {**dict.fromkeys(GIVEN), "card_id": "c"}
    of_pandas: dict[str, object] = {**GIVEN, "amount": np.int64(7), "share": np.float64(1), "risky": np.bool_(True)}
    keys, request = Keys([ASKED], "service 's'").parted([GIVEN, texts, nulls, of_pandas])
    assert keys == [{"card_id": "c"}] * 4
    assert {name: column.to_pylist()[3] for name, column in request.items()} == {
        name: column.to_pylist()[0] for name, column in request.items()
    }
    assert {name: column.to_pylist()[1:3] for name, column in request.items()} == {
        name: [column.to_pylist()[0], None] for name, column in request.items()
    }
    assert str(request["since"].type) == "timestamp[us, tz=UTC]"


def test_a_field_that_is_a_key_of_another_view_is_given_once() -> None:
    keys, request = Keys([ASKED, IP], "service 's'").parted([GIVEN])
    assert keys == [{"card_id": "c", "ip": "10.1.2.3"}]
    assert request["ip"].to_pylist() == ["10.1.2.3"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"card_id": "c"}, "it lacks id, ip, amount, share, risky, since. It needs card_id=…, id=…, ip=…, amount=…, share=…, risky=…, since=…."),
        (GIVEN | {"more": 1}, "nobody asked for more. It needs card_id=…, id=…, ip=…, amount=…"),
        (GIVEN | {"amount": 7.5}, "The request field amount=7.5 is not a whole number of 64 bits. Give amount as a whole number of 64 bits, or null."),
        (GIVEN | {"amount": True}, "amount=True is not a whole number"),
        (GIVEN | {"amount": 1 << 63}, "amount=9223372036854775808 is not a whole number of 64 bits"),
        (GIVEN | {"amount": "7.5"}, "amount='7.5' is not a whole number"),
        (GIVEN | {"share": 10**400}, "is not a number. Give share as a number, or null."),
        (GIVEN | {"risky": 1}, "risky=1 is not true or false"),
        (GIVEN | {"ip": 1}, "ip=1 is not text"),
        (GIVEN | {"since": "2026-03-01T01:00:00"}, "since='2026-03-01T01:00:00' is not an instant with its zone, such as 2026-01-02T10:00:00Z"),
        (GIVEN | {"since": "yesterday"}, "since='yesterday' is not an instant with its zone"),
    ],
)  # fmt: skip
def test_a_field_that_lacks_or_is_of_another_type_is_said(given: dict[str, object], says: str) -> None:
    with pytest.raises(InputError) as told:
        Keys([ASKED], "service 's'").parted([given])
    assert says in str(told.value)

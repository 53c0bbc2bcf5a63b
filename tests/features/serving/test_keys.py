"""Keys that a person gives: a column that the source computes from others may be left out, and what does not fit is said."""

import pytest

from features import Entity, FeatureView, Field, Source, col, count, fields, flat
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

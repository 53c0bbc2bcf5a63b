"""Keys, fields and instants are Feast's own bytes."""

import mmh3
import pyarrow as pa
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from features import Entity, FeatureView, Field, Source, attribute, load_catalog
from features.definitions.names import utc
from features.errors import InputError
from features.store import keys

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.binary(max_size=40))
def test_murmur3_is_the_published_hash(data: bytes) -> None:
    assert keys.murmur3(data) == mmh3.hash(data, signed=False)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_field_is_feasts(view: str, feature: str) -> None:
    assert keys.field(view, feature) == _mmh3(f"{view}:{feature}")


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_an_instant_is_a_protobuf_timestamp_and_comes_back(instant: int) -> None:
    stamp = Timestamp()
    stamp.FromDatetime(utc(instant))
    assert keys.encode_instant(instant) == stamp.SerializeToString()
    stamp = Timestamp.FromString(keys.encode_instant(instant))
    assert stamp.seconds * 1_000_000 + stamp.nanos // 1000 == instant


@given(st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=20), min_size=1, max_size=3))
def test_keys_of_text_are_feasts_version_3(key: dict[str, str]) -> None:
    proto = EntityKey(join_keys=list(key), entity_values=[Value(string_val=value) for value in key.values()])
    wanted = serialize_entity_key(proto, entity_key_serialization_version=3)
    assert keys.entity_key(key, "string") == wanted
    encode = keys.key_encoder(tuple(key), "string")
    assert encode({**key, "": None}) == wanted
    assert [encode({**key, name: None}) for name in key] == [None] * len(key)
    assert keys.entity_keys({name: pa.array([value]) for name, value in key.items()}, "string") == [wanted]
    assert wanted + keys.PROJECT.encode() == _redis_key(keys.PROJECT, proto)
    assert keys.belongs(wanted + keys.PROJECT.encode(), tuple(key))
    assert not keys.belongs(wanted + b"x" + keys.PROJECT.encode(), tuple(key))
    assert not keys.belongs(wanted, tuple(key))


@given(st.dictionaries(st.text(min_size=1, max_size=10), INT64, min_size=1, max_size=3))
def test_keys_of_numbers_are_feasts_version_3(key: dict[str, int]) -> None:
    proto = EntityKey(join_keys=list(key), entity_values=[Value(int64_val=value) for value in key.values()])
    wanted = serialize_entity_key(proto, entity_key_serialization_version=3)
    assert keys.entity_key(key, "int64") == wanted
    encode = keys.key_encoder(tuple(key), "int64")
    assert encode({**key, "": None}) == wanted
    assert [encode({**key, name: None}) for name in key] == [None] * len(key)
    assert keys.entity_keys({name: pa.array([value], pa.int64()) for name, value in key.items()}, "int64") == [wanted]


def test_composite_keys_never_meet() -> None:
    columns = {"a": pa.array(["1", "12"]), "b": pa.array(["23", "3"])}
    first, second = keys.entity_keys(columns, "string")
    assert first != second


def test_a_null_key_is_refused_with_its_row() -> None:
    with pytest.raises(InputError, match=r"The key column 'b' is null in row {'a': 'x', 'b': None}"):
        keys.entity_keys({"a": pa.array(["w", "x"]), "b": pa.array(["1", None])}, "string")


def test_the_catalogue_has_no_colliding_fields_and_a_collision_is_told() -> None:
    assert keys.collisions(load_catalog().views, ("asof_status",)) == []
    # Found by search: murmur3 of odd:f80052 and odd:f173334 is one number.
    columns = tuple(Field(name=name, type="string") for name in ("key", "f80052", "f173334"))
    source = Source(
        name="odd", table="raw.odd", columns=(*columns, Field(name="event_time", type="timestamp")), kind="changes"
    )
    entity = Entity(name="odd", keys=("key",))
    view = FeatureView(name="odd", entity=entity, source=source, features=(attribute("f80052"), attribute("f173334")))
    (problem,) = keys.collisions([view])
    assert (
        "FeatureView 'odd', feature 'f173334': Redis cannot tell it from 'odd:f80052' (equal murmur3 hashes). Rename one of them."
        in problem
    )

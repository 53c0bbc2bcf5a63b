"""The definitions that the tests of materialize and lookup run on."""

from features import Entity, EventFreshness, FeatureService, FeatureView, Field, Source, attribute, count, flat, mean

PAIR = Entity(name="load_pair", keys=("load_card", "load_shop"))
PAYMENTS = Source(
    name="load_payments", table="raw.load_payments",
    columns=(Field(name="load_card", type="string"), Field(name="load_shop", type="string"), Field(name="amount", type="int64"),
             Field(name="event_time", type="timestamp")),
)  # fmt: skip
PROFILES = Source(
    name="load_profiles", table="raw.load_profiles", kind="changes",
    columns=(Field(name="load_card", type="string"), Field(name="load_shop", type="string"), Field(name="opened", type="timestamp"),
             Field(name="risky", type="bool"), Field(name="event_time", type="timestamp")),
)  # fmt: skip
LOAD_HABITS = FeatureView(
    name="load_habits", entity=PAIR, source=PAYMENTS, features=flat((count("7d"), mean("amount", "7d")))
)
LOAD_PROFILE = FeatureView(
    name="load_profile", entity=PAIR, source=PROFILES, features=(attribute("opened"), attribute("risky"))
)
LOAD_LIVE = FeatureView(
    name="load_live", entity=PAIR, source=PAYMENTS, features=flat((count("7d"),)), freshness=EventFreshness()
)
LOADED = FeatureService(name="loaded", views=(LOAD_HABITS, LOAD_PROFILE))

"""A shop whose payments are labelled by its disputes, and by reports that are bound to no parent."""

from dataclasses import replace

from features import FeatureService, FeatureView, Label, Schedule, col, count, fields, flat, requested, sum_
from features.definitions.sources import Source
from tests.jobs.shop import CARD, DISPUTES, PAYMENTS

assert DISPUTES.enriched is not None
BOUGHT = replace(PAYMENTS, name="labelled_payments", table="labelled.payments")
DISPUTED = replace(
    DISPUTES, name="labelled_disputes", table="labelled.disputes", enriched=replace(DISPUTES.enriched, parent=BOUGHT)
)
REPORTS = Source(
    name="labelled_reports",
    table="labelled.reports",
    columns=(*fields("string", "report payment reason"), *fields("timestamp", "event_time known")),
    known_at="known",
    event_id="report",
)
VIEW = FeatureView(
    name="labelled_cards",
    entity=CARD,
    source=BOUGHT,
    features=flat((count("1d 3d"), sum_("amount", "3d"))),
    remember="10d",
)
SERVICE = FeatureService(name="labelled_v1", views=(VIEW,))
ASKED = FeatureView(
    name="labelled_asked",
    entity=CARD,
    source=BOUGHT,
    freshness=Schedule(anchor="ask"),
    features=flat((sum_("amount", "7d"), requested("amount"))),
    request=("amount",),
    remember="10d",
)
AT_CHECKOUT = FeatureService(name="labelled_checkout_v1", views=(ASKED,))
CHARGEBACK = Label(
    name="chargeback",
    outcomes=DISPUTED,
    of="payment",
    horizon="2d",
    blocked=col("status") == "blocked",
    explored=col("status") == "explored",
    propensity=0.25,
)
REPORTED = Label(
    name="reported",
    outcomes=REPORTS.derive("labelled_believed", filter=col("reason") != "hoax"),
    events=BOUGHT,
    of="payment",
    horizon="1d",
    positive=col("reason") == "fraud",
)
HOAX = Label(name="hoax", outcomes=REPORTS, events=BOUGHT, of="payment", horizon="1d")

"""Every problem that a definition can have on its own: said with file and line, name, value and remedy."""

import re
from collections.abc import Callable
from typing import Any, cast

import pytest

from features import (
    EVER,
    Entity,
    EventFreshness,
    FeatureService,
    FeatureView,
    Field,
    Label,
    Policy,
    Schedule,
    Selection,
    Source,
    Window,
    aggregate,
    anomaly,
    arrival_rate,
    attribute,
    burst,
    cohort_rate,
    col,
    count,
    decayed_count,
    difference,
    distinct,
    fields,
    flat,
    lag_corrected_rate,
    last,
    lit,
    mean,
    ratio,
    std,
    sum_,
    zscore,
)
from features.definitions.durations import duration
from features.definitions.expressions import case, likeness, type_of
from features.definitions.features import AnomalyReason
from features.errors import InvalidDefinitionError

COLUMNS = (*fields("string", "id card device"), *fields("int64", "amount rank"), *fields("float64", "price"), *fields("bool", "gone"),
           *fields("timestamp", "event_time known"))  # fmt: skip
CARD = Entity(name="card", keys=("card",))


def source(**changes: Any) -> Source:
    return Source(
        **{"name": "payments", "table": "raw.payments", "columns": COLUMNS, "event_id": "id", "known_at": "known"}
        | changes
    )


PAYMENTS = source()
ACCOUNTS = source(name="accounts", kind="changes", event_id=None)
DISPUTES = source(name="disputes")


def view(*features: Any, **changes: Any) -> FeatureView:
    given: dict[str, Any] = {"name": "cards", "entity": CARD, "source": PAYMENTS, "features": flat(features)}
    return FeatureView(**given | changes)


def rate(outcomes: Source = DISPUTES, **changes: Any) -> Any:
    given: dict[str, Any] = {"of": "id", "over": "30d", "delay": "7d"}
    return cohort_rate(outcomes, **given | changes)


def arrivals(**changes: Any) -> Any:
    given: dict[str, Any] = {"of": "id", "over": "30d"}
    return arrival_rate(DISPUTES, **given | changes)


def corrected(**changes: Any) -> Any:
    given: dict[str, Any] = {"of": "id", "over": "30d"}
    return lag_corrected_rate(DISPUTES, **given | changes)


def unusual(*of: str, **changes: Any) -> Any:
    """Anomalies over `count_7d`, `sum_amount_7d` and what else is named, below these two."""
    return (count("7d"), sum_("amount", "7d"), anomaly(of=of or ("count_7d", "sum_amount_7d"), **changes))


def label(**changes: Any) -> Label:
    given: dict[str, Any] = {"name": "fraud", "outcomes": DISPUTES, "of": "id", "horizon": "120d", "events": PAYMENTS}
    return Label(**given | changes)


VIEW, SOURCE, LABEL = "FeatureView 'cards'", "Source 'payments'", "Label 'fraud'"
ASK = Schedule(period="1h", publish_lag="10m", anchor="ask")
WRONG: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    # Windows and freshness
    "window: no duration": (lambda: Window("7 days"), ("Window('7 days')", "'7 days' is not a duration", "Write a whole number and a unit: 30s, 15m, 24h, 90d.")),
    "window: zero": (lambda: Window("0s"), ("Window('0s')", "its length is zero", "Give it a positive duration.")),
    "window: step": (lambda: Window("7d", step="7m"), ("Window('7d')", "step '7m' is not on the list", "Use 1s 5s 15s 30s 1m 5m 15m 30m 1h 3h 6h 1d, or step='exact'.")),
    "window: ever with an offset": (lambda: Window("ever", "1d"), ("Window('ever')", "a step or an offset of its own", "Leave both away.")),
    "schedule: phase": (lambda: Schedule(period="1h", phase="1h", publish_lag="0"), ("Schedule('1h')", "phase '1h' or publish_lag '0' is not below it", "within one period")),
    "schedule: lag": (lambda: Schedule(period="1h", publish_lag="60m"), ("Schedule('1h')", "publish_lag '60m' is not below it", "within one period")),
    "schedule: no duration": (lambda: Schedule(period="hourly"), ("Schedule('hourly')", "'hourly' is not a duration", "Write a whole number")),
    "event freshness": (lambda: EventFreshness(lateness="soon"), ("EventFreshness", "'soon' is not a duration", "Write a whole number")),
    # Entities
    "entity: no keys": (lambda: Entity(name="card", keys=()), ("Entity 'card'", "its keys are ()", "Name one or several different columns.")),
    "entity: one key twice": (lambda: Entity(name="card", keys=("a", "a")), ("Entity 'card'", "its keys are ('a', 'a')", "different columns")),
    # Sources
    "source: column twice": (lambda: source(columns=(*COLUMNS, Field(name="card", type="string"))), (SOURCE, "['card'] are declared twice", "Declare each once.")),
    "source: reserved": (lambda: source(columns=(*COLUMNS, *fields("string", "asof_op ds"))), (SOURCE, "['asof_op', 'ds'] are named like Asof's own", "are taken")),
    "source: no event_time": (lambda: source(event_time="at"), (SOURCE, "event_time is 'at', which is not among its columns", "Declare it in columns.")),
    "source: event_time of text": (lambda: source(event_time="card"), (SOURCE, "event_time is 'card' of type string", "It must be timestamp.")),
    "source: known_at": (lambda: source(known_at="amount"), (SOURCE, "known_at is 'amount' of type int64", "It must be timestamp.")),
    "source: void": (lambda: source(void="card"), (SOURCE, "void is 'card' of type string", "It must be bool.")),
    "source: version": (lambda: source(version="price"), (SOURCE, "version is 'price' of type float64", "It must be int64.")),
    "source: deleted": (lambda: source(deleted="known"), (SOURCE, "deleted is 'known' of type timestamp", "It must be bool.")),
    "source: event_id": (lambda: source(event_id="uuid"), (SOURCE, "event_id is 'uuid', which is not among its columns", "Declare it in columns.")),
    "source: table": (lambda: source(table="payments"), (SOURCE, "its table is 'payments'", "Write database.table")),
    "source: type": (lambda: source(columns=(*COLUMNS, Field(name="n", type="int67"))), (SOURCE, "column 'n' has the type 'int67'", "Types are string, int64")),  # type: ignore[arg-type]
    "source: zone": (lambda: source(columns=(*COLUMNS, Field(name="n", type="timestamp", zone="Mars/Base"))), (SOURCE, "zone 'Mars/Base', which is not an IANA zone", "Europe/Berlin")),
    "source: format": (lambda: source(columns=(*COLUMNS, Field(name="n", type="timestamp", format="%Q"))), (SOURCE, "format '%Q': 'Q' is a bad directive", "strptime format")),
    "source: format twice": (lambda: source(columns=(*COLUMNS, Field(name="n", type="timestamp", format="%Y %Y"))), (SOURCE, "a directive is there twice", "strptime format")),
    "source: decimals": (lambda: source(columns=(*COLUMNS, Field(name="n", type="float64", scale=-40))), (SOURCE, "column 'n' has the scale -40", "0 to 18")),
    "source: case": (lambda: source(columns=(*COLUMNS, Field(name="CARD", type="string"))), (SOURCE, "['CARD', 'card'] differ in case only", "Hive knows no case")),
    "source: table of odd characters": (lambda: source(table="raw.my-table"), (SOURCE, "its table is 'raw.my-table'", "letters, digits and underscores")),
    "source: lag": (lambda: source(lag="1 hour"), (SOURCE, "'1 hour' is not a duration", "Write a whole number")),
    "source: correctable": (lambda: source(correctable="long"), (SOURCE, "'long' is not a duration", "Write a whole number")),
    "source: max_future": (lambda: source(max_future="5min"), (SOURCE, "'5min' is not a duration", "Write a whole number")),
    "source: version without id": (lambda: source(event_id=None, version="rank"), (SOURCE, "a version but no event_id", "Name the column that identifies an event.")),
    "source: void without id": (lambda: source(event_id=None, void="gone"), (SOURCE, "a void but no event_id", "Name the column that identifies an event")),
    "source: scale": (lambda: source(columns=(*COLUMNS, Field(name="cents", type="int64", scale=2))), (SOURCE, "'cents' of type int64 has a scale", "Only float64 (decimal)")),
    "source: filter is a number": (lambda: source(filter=col("amount") + 1), (SOURCE, "is not a condition", "Compare columns with values.")),
    "source: filter of nothing": (lambda: source(filter=col("nope") == 1), (SOURCE, "there is no column 'nope'; the source has amount, card", "Mend the expression.")),
    "source: full without id": (lambda: source(kind="full", event_id=None, deleted="gone"), (SOURCE, "of kind full and has no event_id", "Name the column that tells its rows apart")),
    "source: full without deleted": (lambda: source(kind="full"), (SOURCE, "of kind full and has no deleted", "Declare a bool column for it; ingest fills it")),
    "source: full with versions": (lambda: source(kind="full", deleted="gone", version="rank"), (SOURCE, "a version, a void or a parent", "The next snapshot corrects a snapshot")),
    "enrich: parent without ids": (lambda: source(columns=fields("timestamp", "event_time known") + fields("string", "id of")).enrich(ACCOUNTS, on="of", columns=("card",)),
                                   (SOURCE, "its parent 'accounts' has no event_id", "can be looked up")),
    "enrich: on": (lambda: DISPUTES.enrich(PAYMENTS, on="payment_id", columns=()), ("Source 'disputes'", "enriched on 'payment_id'", "Name a column of the child.")),
    "enrich: column of nobody": (lambda: DISPUTES.enrich(PAYMENTS, on="id", columns=("city",)), ("Source 'disputes'", "parent 'payments' has no column 'city'", "It has [")),
    "enrich: column of its own": (lambda: DISPUTES.enrich(PAYMENTS, on="id", columns=("card",)), ("Source 'disputes'", "a column 'card' of its own", "Leave it out")),
    # Views
    "view: a name twice": (lambda: view(count("7d"), count("7d")), (VIEW, "feature 'count_7d'", "this name is used twice", "Give one of them a suffix")),
    "view: no features": (view, (VIEW, "it has no features", "Give it at least one.")),
    "view: bad name": (lambda: view(count("7d"), name="my-view"), ("FeatureView 'my-view'", "feature 'my-view'", "not an identifier", "Use letters, digits and _")),
    "view: long name": (lambda: view(count("7d", suffix="x" * 60)), (VIEW, "at most 64 characters", "it becomes a column")),
    "view: key column missing": (lambda: view(count("7d"), entity=Entity(name="iban", keys=("iban",))),
                                 (VIEW, "key column 'iban' of source 'payments' is missing, entity 'iban' has string", "map it by Source(keys=...)")),
    "view: key column's type": (lambda: view(count("7d"), entity=Entity(name="a", keys=("amount",))), (VIEW, "key column 'amount' of source 'payments' is int64", "Declare the column")),
    "view: remember": (lambda: view(count("7d"), remember="36h"), (VIEW, "remember='36h' is not whole days", "Use whole days.")),
    "view: horizon": (lambda: view(count("7d"), horizon="later"), (VIEW, "'later' is not a duration", "Write a whole number")),
    "view: attribute of events": (lambda: view(attribute("device")), (VIEW, "feature 'device'", "attributes need a source of changes", "use last()")),
    "view: attribute of nothing": (lambda: view(attribute("iban"), source=ACCOUNTS), (VIEW, "there is no column 'iban'", "Use [")),
    "view: ttl": (lambda: view(attribute("device", ttl="a week"), source=ACCOUNTS), (VIEW, "feature 'device'", "its ttl is wrong: 'a week' is not a duration", "Write a whole")),
    "view: windows over changes": (lambda: view(count("7d"), source=ACCOUNTS), (VIEW, "feature 'count_7d'", "'accounts' of kind changes", "Use attribute()")),
    "view: no column": (lambda: view(sum_("total", "7d")), (VIEW, "feature 'sum_total_7d'", "no column 'total' in source 'payments'", "Use one of ['amount'")),
    "view: sum of text": (lambda: view(sum_("card", "7d")), (VIEW, "sum of 'card', which is string", "It takes ['float64', 'int64']")),
    "view: std of a float": (lambda: view(std("price", "7d")), (VIEW, "std of 'price', which is float64", "Declare a scale")),
    "view: limit": (lambda: view(distinct("card", "7d", limit=0)), (VIEW, "its limit is 0", "Give a positive limit.")),
    "view: no such aggregation": (lambda: view(aggregate("median", "7d")), (VIEW, "feature 'median_7d'", "no aggregation 'median'", "There are burst, count")),
    "view: inputs": (lambda: view(aggregate("count", "7d", column="card")), (VIEW, "count takes 0 inputs and got 1", "Give it as many columns.")),
    "view: input of nothing": (lambda: view(aggregate("pairs_max", "7d", inputs=(col("nope"),))), (VIEW, "its input is wrong: there is no column 'nope'", "Mend the expression.")),
    "view: a value of no column": (lambda: view(aggregate("max", "7d", inputs=(col("amount") + 1,))), (VIEW, "max takes a column and got an expression", "Give it a column.")),
    "view: exact burst": (lambda: view(burst("30s")), (VIEW, "burst counts by the step of its window, and 30s has exact edges", "Give the window a step")),
    "view: parameter of nothing": (lambda: view(aggregate("gap_mean", "7d", parameters={"rank": 1})), (VIEW, "gap_mean got the parameters ('rank',)", "It takes ()")),
    "view: parameter too small": (lambda: view(aggregate("runs", "7d", column="amount", parameters={"at_least": 0})), (VIEW, "its at_least is 0", "Give a whole number from 1 to 1e+06.")),
    "view: parameter not whole": (lambda: view(aggregate("runs", "7d", column="amount", parameters={"at_least": 1.5})), (VIEW, "its at_least is 1.5", "Give a whole number")),
    "view: past 64 half-lives": (lambda: view(decayed_count("1h", over="7d")), (VIEW, "its window 7d is longer than decayed_count reaches, 2.66667 days", "Shorten the window, or leave it away.")),
    "view: past remember": (lambda: view(count("40d"), remember="30d"), (VIEW, "window 40d reaches past remember='30d'", "Shorten it or remember longer.")),
    "view: short window at the ask": (lambda: view(count("4h"), freshness=ASK), (VIEW, "a window of 4h slides over what a cut 1h apart knew", "at least 4 x (period + publish lag)")),
    "view: where is a number": (lambda: view(count("7d", where=col("amount") + 1)), (VIEW, "is int64", "Compare columns with values.")),
    "view: where of nothing": (lambda: view(count("7d", where=col("nope") > 1)), (VIEW, "its condition is wrong: there is no column 'nope'", "Mend the expression.")),
    "view: ratio of nothing": (lambda: view(count("7d"), ratio("count_7d", "count_1d")), (VIEW, "derived from 'count_1d'", "Above it are ['count_7d']")),
    "view: difference of text": (lambda: view(count("7d"), last("device", "7d"), difference("count_7d", "last_device_7d")), (VIEW, "derived from 'last_device_7d'", "no numeric feature above it")),
    "view: zscore without std": (lambda: view(count("7d"), mean("amount", "7d"), zscore("count_7d", of="amount_7d")), (VIEW, "derived from 'std_amount_7d'", "Above it are [")),
    "rate: unknown outcomes": (lambda: view(rate()), (VIEW, "its outcomes are 'disputes'", "Add the source to outcomes=(...).")),
    "rate: events without id": (lambda: view(rate(), source=source(event_id=None), outcomes=(DISPUTES,)), (VIEW, "'payments' has no event_id", "Declare event_id.")),
    "rate: no delay": (lambda: view(rate(delay="0"), outcomes=(DISPUTES,)), (VIEW, "its delay is zero", "Give the time after which most outcomes are known.")),
    "rate: arrivals between cuts": (lambda: view(arrivals(), outcomes=(DISPUTES,), freshness=EventFreshness()), (VIEW, "do not end at cuts, but arrivals are counted", "Schedule with anchor='cut'")),
    "rate: smoothed at the ask": (lambda: view(rate(smoothed=20), outcomes=(DISPUTES,), freshness=ASK), (VIEW, "lag curves and priors fitted, at cuts alone", "a cohort rate that is not smoothed goes with any freshness")),
    "rate: weight": (lambda: view(arrivals(smoothed=0), outcomes=(DISPUTES,)), (VIEW, "smoothed=0 is no weight", "the number of events that the rate over all keys shall count as")),
    "rate: least": (lambda: view(corrected(least=0), outcomes=(DISPUTES,)), (VIEW, "least=0 is no share", "above 0 and at most 1")),
    "rate: mature is no duration": (lambda: view(corrected(mature="4 months"), outcomes=(DISPUTES,)), (VIEW, "its mature is wrong: '4 months' is not a duration", "Write a whole number")),
    "rate: mature in hours": (lambda: view(corrected(mature="36h"), outcomes=(DISPUTES,)), (VIEW, "mature='36h' is not whole days", "Use whole days, at least one.")),
    "rate: never mature": (lambda: view(corrected(), outcomes=(DISPUTES,), remember="120d"), (VIEW, "no event that the view remembers is as old as mature='120d'", "Make it shorter than remember='120d', or remember longer.")),
    "rate: of": (lambda: view(rate(of="payment"), outcomes=(DISPUTES,)), (VIEW, "outcomes 'disputes' have no column 'payment'", "They have [")),
    "rate: type of of": (lambda: view(rate(of="amount"), outcomes=(DISPUTES,)), (VIEW, "by 'amount', whose type is not that of 'id'", "Give both one type.")),
    "rate: past remember": (lambda: view(rate(), outcomes=(DISPUTES,), remember="30d"), (VIEW, "30d_offset_7d reaches past remember='30d'", "remember longer")),
    "rate: eligible": (lambda: view(rate(eligible=col("amount")), outcomes=(DISPUTES,)), (VIEW, "is int64", "Compare columns with values.")),
    "anomaly: part of nothing": (lambda: view(*unusual("count_7d", "count_1d")), (VIEW, "feature 'anomaly_score'", "derived from 'count_1d', which is no numeric feature above it", "Above it are ['count_7d', 'sum_amount_7d']")),
    "anomaly: part of text": (lambda: view(last("device", "7d"), *unusual("count_7d", "last_device_7d")), (VIEW, "derived from 'last_device_7d', which is no numeric feature above it")),
    "anomaly: part below it": (lambda: view(*unusual("count_7d", "count_1d"), count("1d")), (VIEW, "derived from 'count_1d', which is no numeric feature above it")),
    "anomaly: active of text": (lambda: view(last("device", "7d"), *unusual(active="last_device_7d")), (VIEW, "derived from 'last_device_7d', which is no numeric feature above it")),
    "anomaly: one part": (lambda: view(*unusual("count_7d")), (VIEW, "it has 1 part(s)", "Name at least two features above it")),
    "anomaly: a part twice": (lambda: view(*unusual("count_7d", "sum_amount_7d", "count_7d")), (VIEW, "its part 'count_7d' is named twice", "Name it once.")),
    "anomaly: at the ask": (lambda: view(*unusual(), freshness=ASK), (VIEW, "it is not of events with windows that end at cuts", "Schedule with anchor='cut'")),
    "anomaly: of events as they come": (lambda: view(*unusual(), freshness=EventFreshness()), (VIEW, "centres and scales are fitted at cuts alone", "Schedule with anchor='cut'")),
    "anomaly: of changes": (lambda: view(attribute("amount"), attribute("rank"), anomaly(of=("amount", "rank")), source=ACCOUNTS), (VIEW, "feature 'anomaly_score'", "it is not of events")),
    "anomaly: part that is fitted": (lambda: view(rate(smoothed=20), ratio("disputes_rate_smoothed_30d_offset_7d", "disputes_rate_smoothed_30d_offset_7d", name="r"), *unusual("count_7d", "r"), outcomes=(DISPUTES,)),
                                     (VIEW, "derived from 'r', for which 'disputes_rate_smoothed_30d_offset_7d' is itself fitted at cuts", "Leave it out")),
    "anomaly: of a score": (lambda: view(*unusual(), anomaly(of=("count_7d", "anomaly_score"), name="again")), (VIEW, "feature 'again_score'", "derived from 'anomaly_score', for which 'anomaly_score' is itself fitted", "Leave it out")),
    "anomaly: least_parts": (lambda: view(*unusual(least_parts=3)), (VIEW, "its least_parts is 3", "Give a whole number from 1 to its 2 parts.")),
    "anomaly: least_keys": (lambda: view(*unusual(least_keys=0)), (VIEW, "its least_keys is 0", "at least 1")),
    "anomaly: cap": (lambda: view(*unusual(cap=0)), (VIEW, "its cap is 0", "Give the most that one part adds, above 0.")),
    "anomaly: reason of nothing": (lambda: view(count("7d"), AnomalyReason(name="why", score="count_7d", rank=1)), (VIEW, "feature 'why'", "its score is 'count_7d', which is no anomaly score above it", "Above it are [].")),
    "anomaly: rank": (lambda: view(*unusual(), AnomalyReason(name="why", score="anomaly_score", rank=0)), (VIEW, "feature 'why'", "its rank is 0", "Give 1 for the part that moved the score most")),
    # Services and labels
    "service: no views": (lambda: FeatureService(name="model", views=()), ("FeatureService 'model'", "it has no views", "Name at least one.")),
    "service: a view twice": (lambda: FeatureService(name="model", views=("cards", Selection(view="cards"))), ("FeatureService 'model'", "view 'cards' is taken twice", "Join the two")),
    "service: a feature twice": (lambda: FeatureService(name="model", views=(Selection(view="cards", features=("n", "m", "n")),)), ("FeatureService 'model'", "feature 'n' of view 'cards' is taken twice", "Name it once.")),
    "service: a policy for what it does not take": (lambda: FeatureService(name="model", views=("cards",), policies=(Policy(view="shops"),)), ("FeatureService 'model'", "it has a policy for shops, which it does not take", "Take it, or drop the policy")),
    "service: a policy for a feature it does not take": (lambda: FeatureService(name="model", views=(Selection(view="cards", features=("n",)),), policies=(Policy(view="cards", feature="m"),)), ("FeatureService 'model'", "it has a policy for cards.m, which it does not take")),
    "service: two policies": (lambda: FeatureService(name="model", views=("cards",), policies=(Policy(view="cards"), Policy(view="cards", stale="null"))), ("FeatureService 'model'", "it has two policies for cards", "Keep one")),
    "service: no such choice": (lambda: FeatureService(name="model", views=("cards",), policies=(Policy(view="cards", stale=cast("Any", "zero")),)), ("FeatureService 'model'", "its policy for cards says 'zero'", "Say one of serve, null, default, fail")),
    "label: horizon": (lambda: label(horizon="4 months"), (LABEL, "'4 months' is not a duration", "Write a whole number")),
    "label: positive": (lambda: label(positive=col("amount")), (LABEL, "positive=", "is not a condition", "Compare columns with values.")),
    "label: positive of nothing": (lambda: label(positive=col("nope") == 1), (LABEL, "there is no column 'nope'", "the source has")),
    "label: of": (lambda: label(of="payment"), (LABEL, "outcomes have no column 'payment'", "They have [")),
    "label: no events": (lambda: label(events=None), (LABEL, "its events are not named", "Give events=SOURCE, or enrich its outcomes on 'id'.")),
    "label: events of another column": (lambda: label(events=None, outcomes=source(name="fights", columns=fields("string", "of other") + fields("timestamp", "event_time known"), event_id=None).enrich(PAYMENTS, on="other", columns=("card",)), of="of"), (LABEL, "its events are not named")),
    "label: events without ids": (lambda: label(events=ACCOUNTS), (LABEL, "its events 'accounts' have no event_id", "name a source that has them.")),
    "label: blocked": (lambda: label(blocked=col("card")), (LABEL, "blocked=", "is not a condition")),
    "label: explored of nothing": (lambda: label(explored=col("nope")), (LABEL, "there is no column 'nope'")),
    "label: propensity of nothing": (lambda: label(propensity=0.5), (LABEL, "it has the propensity 0.5 and no explored", "Say which events were explored.")),
    "label: propensity too large": (lambda: label(propensity=1.5, explored=col("gone")), (LABEL, "its propensity is 1.5", "in (0, 1]")),
    "label: propensity zero": (lambda: label(propensity=0, explored=col("gone")), (LABEL, "its propensity is 0.", "in (0, 1]")),
    "source: computed of nothing": (lambda: source(columns=(*COLUMNS, Field(name="net", type="string", computed=col("ip").subnet()))), ("Source 'payments'", "column 'net' is computed wrongly: there is no column 'ip'", "Use columns that the input brings.")),
    "source: computed of another type": (lambda: source(columns=(*COLUMNS, *fields("string", "ip"), Field(name="net", type="int64", computed=col("ip").subnet()))), ("Source 'payments'", "column 'net' of type int64 is computed as string", "Give it the type of its expression.")),
    "source: computed of computed": (lambda: source(columns=(*COLUMNS, *fields("string", "ip"), Field(name="net", type="string", computed=col("ip").subnet()), Field(name="again", type="string", computed=col("net").subnet()))), ("Source 'payments'", "column 'again' is computed wrongly: there is no column 'net'")),
    "source: computed time": (lambda: source(columns=(*COLUMNS, Field(name="seen", type="timestamp", computed=lit(None))), known_at="seen"), ("Source 'payments'", "column 'seen' is computed and has a role", "come from the input")),
    "label: propensity of text": (lambda: label(propensity="card", explored=col("gone")), (LABEL, "its propensity is 'card', which is no float64 column of 'payments'", "Name one")),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_definition_says_where_what_and_the_remedy(name: str) -> None:
    build, parts = WRONG[name]
    with pytest.raises(InvalidDefinitionError) as raised:
        build()
    text = str(raised.value)
    assert re.match(rf"{re.escape(__file__)}:\d+: {re.escape(parts[0])}", text), text
    assert [part for part in parts if part not in text] == [], text


def test_the_line_is_the_author_s() -> None:
    with pytest.raises(InvalidDefinitionError) as raised:
        Window("soon")
    assert str(raised.value).startswith(f"{__file__}:{test_the_line_is_the_author_s.__code__.co_firstlineno + 2}: ")


@pytest.mark.parametrize(("node", "text"), [
    (col("card") > col("amount"), "> between string and int64 has no meaning."),
    (col("amount") & col("gone"), "& | ~ needs bool, but Column(name='amount') is int64."),
    (col("card") + 1, "+ needs float64 or int64, but Column(name='card') is string."),
    (col("amount").startswith("4"), "startswith needs string, but Column(name='amount') is int64."),
    (col("amount").hour(), "hour and weekday needs timestamp, but Column(name='amount') is int64."),
    (col("card").isin(1), "isin between string and int64 has no meaning."),
    (col("amount").subnet(), "subnet, digit_share and likeness needs string, but Column(name='amount') is int64."),
    (likeness(col("card")), "likeness of Column(name='card') to nothing. Name at least one text that it may be like."),
    (case((col("gone"), 1), otherwise="x"), "case between string and int64 has no meaning."),
    (col("nope"), "there is no column 'nope'; the source has amount, card, device, event_time, gone, id, known, price, rank."),
])  # fmt: skip
def test_types_that_do_not_go_together(node: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        type_of(node, PAYMENTS.types)


def test_what_is_no_expression() -> None:
    with pytest.raises(ValueError, match=r"3 is not a row expression\."):
        type_of(3, {})  # type: ignore[arg-type]
    with pytest.raises(
        TypeError,
        match=re.escape("b'x' cannot stand in a row expression. Use text, numbers, booleans, None or col(...)."),
    ):
        lit(b"x")
    with pytest.raises(TypeError, match=r"has no truth of its own\. Join conditions with & \| ~ and parentheses"):
        bool(col("amount") > 1)


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "-7d", "7.5d", "7y", "7d "])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"{text!r} is not a duration. Write a whole number and a unit: 30s, 15m, 24h, 90d.")
    ):
        duration(text)


def test_ever_needs_nothing() -> None:
    assert view(count(EVER)).types == {"count_ever": "int64"}

import ast
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from jobs import cli, commands, frame_commands, store_commands
from jobs.commands import (
    Apply,
    Audit,
    Backfill,
    Censoring,
    Command,
    Compute,
    Demo,
    Explain,
    Frame,
    Grant,
    Graphs,
    Held,
    Ingest,
    LabelledFrame,
    Lookup,
    Materialize,
    Metrics,
    Page,
    Prove,
    Publish,
    Push,
    Ready,
    Rebuild,
    Release,
    Report,
    Rollback,
    Serve,
    Simulate,
    Sql,
    Stats,
    Status,
    Stop,
    Validate,
    Why,
)

_CUT = datetime(2026, 3, 2, 6, 30, 0, 1, tzinfo=UTC)
_EACH: tuple[Command, ...] = (
    Simulate(out="a b", start=date(2026, 3, 1), days=3, scale=0.1, seed=7),
    Ingest(source="payments", input="x/*.csv"),
    Ingest(source="payments", input="x", ds=date(2024, 2, 29)),
    *(stage(cut=_CUT) for stage in (Ready, Graphs, Compute, Validate, Held, Publish, Materialize, Prove)),
    Compute(cut=_CUT, views=("a", "b")),
    Prove(cut=_CUT, views=("a",), keys=3000),
    Prove(cut=_CUT, through=(commands.Through.SERVICE, commands.Through.READER)),
    Backfill(start=_CUT, end=_CUT + timedelta(days=9)),
    Backfill(start=_CUT, end=_CUT + timedelta(days=9), views=("a", "-b"), at_once=2),
    Release(source="payments", ds=date(2026, 3, 1)),
    Frame(labels="l.parquet", service="radar_v1", out="o"),
    Audit(frame="-f.parquet"),
    Audit(frame="f", out="a.html", output="json", rows=9, seed=3, threshold=0.9, target="fraud", split="part"),
    LabelledFrame(
        label="fraud",
        start=_CUT,
        end=_CUT + timedelta(days=9),
        as_of=_CUT + timedelta(days=90),
        service="radar_v1",
        out="o",
    ),
    LabelledFrame(
        label="-l",
        start=_CUT,
        end=_CUT + timedelta(days=9),
        as_of=_CUT + timedelta(days=90),
        service="-s",
        out="a b",
        sample=("negatives=0.1", "seed=7"),
        split=("train_end=2026-03-01", "entity=card_id"),
    ),
    Rebuild(manifest="m.json", out="o"),
    Rebuild(manifest="-m", out="a b", labels="l"),
    Censoring(label="-l", start=_CUT, end=_CUT + timedelta(days=9), as_of=_CUT + timedelta(days=90), out="c.html"),
    Report(truth="t", start=_CUT, held_back=_CUT + timedelta(days=9), end=_CUT + timedelta(days=19), out="r.html"),
    Report(
        truth="-t",
        start=_CUT,
        held_back=_CUT + timedelta(days=9),
        end=_CUT + timedelta(days=19),
        out="a b.html",
        gap="3d",
        budget=0.02,
        review_cost=1.5,
        honest=1.0,
        judged=0.25,
        samples=9,
        seed=3,
    ),
    Lookup(service="radar_v1", keys=(("card", "a=b c"), ("-x", "--at"), ("empty", ""))),
    Lookup(service="radar_v1", keys=(("card", "1"),), at=_CUT, output="json"),
    Why(feature="radar_v1.card_velocity__count_7d", keys=(("card_id", "a=b c"),)),
    Why(feature="-s.-f", keys=(("k", "--at"),), at=_CUT, output="json"),
    Explain(view="cards"),
    Explain(view="-v", at=_CUT, output="json"),
    Stats(view="card_velocity", window="90d"),
    Stats(view="-v", window="1h", by=("a", "-b"), at=_CUT, output="parquet", out="a b.parquet"),
    Apply(),
    Status(output="json"),
    Page(),
    Page(out="-a b.html", cuts=3),
    Metrics(cut=_CUT),
    Metrics(cut=_CUT, days=(date(2026, 1, 1), date(2026, 2, 28))),
    Sql(),
    Serve(),
    Serve(port=7000, workers=2),
    Grant(holder="checkout", services=("radar_v1", "-x")),
    Grant(holder="-x", revoke=True),
    Grant(holder="till", sources=("payments", "-y")),
    Push(source="payments", input="events.parquet"),
    Push(source="payments", watermark=datetime(2026, 3, 2, tzinfo=UTC)),
    Rollback(view="-v"),
    Stop(),
    Demo(),
)


@pytest.mark.parametrize("command", _EACH, ids=lambda command: " ".join(command.argv()))
def test_the_command_line_gives_the_command_back(command: Command) -> None:
    assert cli.parse(command.argv()) == command


def test_every_command_is_tried_above() -> None:
    assert {type(command).__name__ for command in _EACH} | {"Command", "Exit", "Stage"} == set(commands.__all__)


def test_an_instant_travels_in_utc() -> None:
    cut = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=3)))
    assert Compute(cut=cut).argv() == ["compute", "--cut", "2026-03-02T06:00:00+00:00"]


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"An instant needs a zone, got 2026-03-02T00:00:00\. Write 2026-03-02T00:00:00\+00:00"
    ):
        Compute(cut=datetime(2026, 3, 2)).argv()  # noqa: DTZ001 - the point


def test_commands_are_standard_library_only() -> None:
    own = (commands, frame_commands, store_commands)
    for module in own:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} - {
            part.__name__ for part in own
        }
        assert {str(module).partition(".")[0] for module in modules} <= sys.stdlib_module_names

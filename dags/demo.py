"""`make demo`: some days of the whole platform on this machine, run by Airflow itself, one of them with corrupted data.

Everything is done by the commands a person would type; here they are only started, watched and summed up.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from dags.embedded import EmbeddedAirflow, RunRecord
from dags.pipelines import pipelines
from dags.summary import page
from features.definitions.catalog import load_catalog
from features.errors import AsofError
from features.settings import Settings
from jobs.commands import Apply, Command, Demo, Frame, Ingest, Lookup, Page, Simulate, Status, Stop

__all__ = ["run"]

START = date(2026, 1, 5)
HISTORY_DAYS = 35
SCALE = 0.06
SEED = 7
CORRUPTION = "country_nulls"
"""Nothing that orders take of their payments: what they took of amounts would have them held a day later as well."""
SERVICE, TRAINING = "radar_v1", "radar_checkout_v1"
LABELS = 2_000
_FEW_ROWS = {"ASOF_SPARK__COMPILER": "quick", "ASOF_SPARK__CONF": json.dumps({"spark.sql.codegen.wholeStage": "false"})}
"""The demo's queries take longer to compile than to interpret, and its Java than to run as it is."""
_EMBEDDED = {"ASOF_SPARK__REMOTE": "embedded", "ASOF_METASTORE__KIND": "embedded"}
"""One warm JVM for all tasks, with the metastore inside: an application a task would take twice as long (docs/decisions/0003)."""
_FEAST = """
import json, sys
from feast import FeatureStore
store = FeatureStore(repo_path=sys.argv[1])
rows = json.loads(sys.argv[3])
found = store.get_online_features(features=store.get_feature_service(sys.argv[2]), entity_rows=rows, full_feature_names=True)
print(json.dumps(found.to_dict(), default=str))
"""


def run(command: Demo, settings: Settings) -> int:  # noqa: ARG001
    """Runs the demo in `home/demo`, from scratch each time; exit 0 only if all that it shows came out as said."""
    home = settings.home / "demo"
    demo = _Demo(settings=settings, home=home, began=time.monotonic())
    demo.clear()
    try:
        report = demo.play()
    finally:
        demo.asof(Stop(), quiet=True)
    (home / "report.json").write_text(json.dumps(report, indent=1, default=str), encoding="utf-8")
    print(page(report, home), flush=True)  # noqa: T201
    return 0 if report["ok"] else 1


@dataclass(kw_only=True)
class _Demo:
    settings: Settings
    home: Path
    began: float
    seconds: dict[str, float] = field(default_factory=dict)
    keys: list[dict[str, str]] = field(default_factory=list)
    """Of some payments of the first day."""

    @property
    def days(self) -> list[date]:
        """The days whose cuts Airflow runs: a good one, a corrupted one, a good one."""
        return [START + timedelta(days=HISTORY_DAYS + n) for n in range(3)]

    @property
    def env(self) -> dict[str, str]:
        bin_ = str(Path(sys.executable).parent)
        given = {
            "ASOF_HOME": str(self.home),
            "PATH": os.pathsep.join([bin_, os.environ.get("PATH", os.defpath)]),
            "GX_ANALYTICS_ENABLED": "false",
        }
        return {**_FEW_ROWS, **os.environ, "ASOF_SPARK__MASTER": "local[2]", **_EMBEDDED, **given}

    def clear(self) -> None:
        """Ends what an earlier demo left running, and removes its folder."""
        if self.home.exists():
            self.asof(Stop(), quiet=True)
            shutil.rmtree(self.home)
        (self.home / "logs").mkdir(parents=True)

    def say(self, text: str) -> None:
        """One sentence, with the seconds since the start."""
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)  # noqa: T201

    def asof(self, command: Command, *, quiet: bool = False, clock: datetime | None = None) -> str:
        """Runs a command as a person would, as if it were `clock`, its output also into a log; gives what it printed."""
        env = self.env | ({} if clock is None else {"ASOF_CLOCK": clock.isoformat()})
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "jobs", *command.argv()], env=env, capture_output=True, text=True, check=False
        )
        log = self.home / "logs" / "demo.log"
        if log.parent.exists():
            with log.open("a", encoding="utf-8") as file:
                file.write(f"$ asof {' '.join(command.argv())}\n{done.stdout}{done.stderr}")
        if done.returncode and not quiet:
            msg = f"`asof {' '.join(command.argv())}` ended with {done.returncode}:\n{done.stderr or done.stdout}"
            raise AsofError(msg)
        return done.stdout

    def python(self, *arguments: str) -> str:
        """Runs the environment's Python outside our folder, so that it finds nothing by accident; gives what it printed."""
        done = subprocess.run(  # noqa: S603
            [sys.executable, *arguments], env=self.env, capture_output=True, text=True, check=False, cwd=self.home
        )
        if done.returncode:
            msg = f"A step of the demo failed: python {' '.join(arguments[:3])} …\n{done.stderr}"
            raise AsofError(msg)
        return done.stdout

    def timed(self, name: str, began: float) -> None:
        self.seconds[name] = round(time.monotonic() - began, 1)

    def play(self) -> dict[str, Any]:
        """All acts, in order; gives the report."""
        began = time.monotonic()
        self.simulate()
        self.timed("simulate", began)
        loading = self._start_ingest()
        began = time.monotonic()
        self.say(
            f"Starting Airflow (scheduler with LocalExecutor) while Spark ingests; logs under {self.home / 'logs'} and {self.home / 'airflow/logs'}."
        )
        with EmbeddedAirflow(self.home, Path(__file__).parent, self.env, port=self.settings.airflow.port) as airflow:
            self.timed("start airflow", began)
            self._finish_ingest(loading)
            self.timed("ingest", began)
            runs, held = self._three_days(airflow)
        began = time.monotonic()
        frame_rows = self._frame()
        self.timed("frame", began)
        began = time.monotonic()
        feast = self._feast()
        self.timed("feast", began)
        self._page()
        return self._report(runs, held, frame_rows, feast)

    def simulate(self) -> None:
        landing = self.home / "landing"
        out = self.asof(Simulate(out=str(landing), start=START, days=HISTORY_DAYS + 3, scale=SCALE, seed=SEED))
        self.say(out.splitlines()[0])
        bad = landing / "payments" / f"ds={self.days[1]}"
        said = self.python("-m", "jobs.simulate.corruptions", str(bad), CORRUPTION)
        self.say(f"Corrupted the payments that arrive on {self.days[1]}: {said.strip()}")
        good = landing / "payments" / f"ds={self.days[0]}"
        self.keys = json.loads(
            self.python("-m", "jobs.simulate.sample", str(good), str(self.home / "labels.parquet"), str(LABELS))
        )
        out = self.asof(Apply())
        self.say(out.splitlines()[0])

    def _start_ingest(self) -> subprocess.Popen[str]:
        names = [source.name for source in load_catalog(self.settings.catalog).ingested]
        command = Ingest(source=",".join(names), input=str(self.home / "landing" / "{source}"))
        log = (self.home / "logs" / "ingest.log").open("w", encoding="utf-8")
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "jobs", *command.argv()], env=self.env, stdout=log, stderr=log, text=True
        )

    def _finish_ingest(self, loading: "subprocess.Popen[str]") -> None:
        """Says what is ingested as soon as it is."""
        log, said = self.home / "logs" / "ingest.log", 0
        ended = False
        while not ended:
            try:
                loading.wait(timeout=1)
                ended = True
            except subprocess.TimeoutExpired:
                pass
            lines = log.read_text(encoding="utf-8").splitlines()
            for line in lines[said:]:
                self.say(line)
            said = len(lines)
        if loading.returncode:
            msg = f"The ingest failed; the lines above say why, and so does {log}."
            raise AsofError(msg)

    def _three_days(self, airflow: EmbeddedAirflow) -> tuple[list[RunRecord], dict[str, Any]]:
        made = pipelines(load_catalog(self.settings.catalog), "schedule")
        (pipeline,) = [item for item in made if item.period == timedelta(days=1)]
        runs: list[RunRecord] = []
        held: dict[str, Any] = {}
        for n, day in enumerate(self.days):
            cut = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
            began = time.monotonic()
            self.say(
                f"Airflow runs {pipeline.dag_id} for the cut {cut:%Y-%m-%d} ({('a good day', 'the corrupted day', 'the next good day')[n]})."
            )
            runs += airflow.run(pipeline.dag_id, [cut], self._on_state)
            self.timed(f"day {n + 1}", began)
            if n == 1:
                held = self._while_held(cut)
        return runs, held

    def _on_state(self, _dag: str, _cut: datetime, task: str, state: str, seconds: float) -> None:
        if state in {"success", "failed", "upstream_failed"}:
            self.say(f"  {task}: {state}{f' after {seconds:.0f} s' if seconds else ''}")

    def _while_held(self, cut: datetime) -> dict[str, Any]:
        """What a lookup says while the newest cut is held."""
        row = self.keys[0]
        found = json.loads(
            self.asof(Lookup(service=SERVICE, keys=tuple(row.items()), at=cut + timedelta(hours=2), output="json"))
        )
        status = json.loads(self.asof(Status(output="json")))
        reasons = {name: reason for name, item in status["sources"].items() for reason in item["held"].values()}
        ages = {item["age_us"] / 3.6e9 for item in found["features"]}
        values = sum(item["value"] not in (None, 0) for item in found["features"])
        self.say(f"  Held: {'; '.join(f'{name}: {reason}' for name, reason in reasons.items())}")
        self.say(
            f"  A lookup at {cut + timedelta(hours=2):%Y-%m-%d %H:%M} still answers, {values} values neither 0 nor null, {max(ages):.0f} h old."
        )
        return {
            "sources": reasons,
            "lookup_age_hours": max(ages),
            "lookup_values": values,
            "cuts": sorted({item["cut"] for item in found["features"]}),
        }

    def _frame(self) -> int:
        """Training rows for the payments of the first day's arrivals, asked at their own instants."""
        out = self.asof(
            Frame(labels=str(self.home / "labels.parquet"), service=TRAINING, out=str(self.home / "frame.parquet"))
        ).strip()
        self.say(out)
        return int(out.splitlines()[-1].split()[0])  # before it, what was fitted

    def _feast(self) -> dict[str, int]:
        """A stock Feast client reads the registry and the store by itself; its answers against the lookup's."""
        rows = self.keys
        printed = self.python("-W", "ignore", "-c", _FEAST, str(self.home / "feast"), SERVICE, json.dumps(rows))
        found: dict[str, list[Any]] = json.loads(printed.splitlines()[-1])
        cut = datetime.combine(self.days[2], datetime.min.time(), UTC) + timedelta(days=1, hours=2)
        compared = different = 0
        for n, row in enumerate(rows[:3]):
            answer = json.loads(self.asof(Lookup(service=SERVICE, keys=tuple(row.items()), at=cut, output="json")))
            for item in answer["features"]:
                theirs = found[f"{item['view']}__{item['feature']}"][n]
                if item["status"] == "never_seen" or (isinstance(theirs, str) and not isinstance(item["value"], str)):
                    continue  # Feast has null for keys it never saw, and shows instants as text
                compared += 1
                different += theirs != item["value"]
        self.say(
            f"A stock Feast client read {len(found)} columns for {len(rows)} payments; {compared} values compared with lookups, {different} different."
        )
        return {"columns": len(found), "compared": compared, "different": different}

    def _page(self) -> None:
        """The catalogue as it stands two hours after the last cut: its own clock, since the demo's days are long past."""
        now = datetime.combine(self.days[2], datetime.min.time(), UTC) + timedelta(days=1, hours=2)
        self.say(self.asof(Page(), clock=now).strip())

    def _report(
        self, runs: Sequence[RunRecord], held: dict[str, Any], frame_rows: int, feast: dict[str, int]
    ) -> dict[str, Any]:
        status = json.loads(self.asof(Status(output="json")))
        cuts = [cut for view in status["views"].values() for cut in view["cuts"].values()]
        judged = [*cuts, *status["sources"].values()]
        proofs = status["proofs"].values()
        parity = {name: sum(proof[name] for proof in proofs) for name in ("compared", "different", "informative")}
        parity["instants"] = min((proof["instants"] for proof in proofs), default=0)
        states = Counter(run.state for run in runs)
        report = {
            "events": sum(source["events"] for source in status["sources"].values()),
            "quarantined": sum(source["quarantined"] for source in status["sources"].values()),
            "views": len(status["views"]), "features": sum(view["features"] for view in status["views"].values()),
            "partitions_published": sum(cut["published"] for cut in cuts),
            "expectations": {"run": sum(item["rules"] for item in judged), "failed": sum(item["failed"] for item in judged)},
            "held": held, "keys_online": sum(view["online"]["keys"] for view in status["views"].values() if view["online"]),
            "frame_rows": frame_rows, "parity": parity, "feast": feast,
            "airflow": {"states": dict(states), "runs": [asdict(run) for run in runs]},
            "seconds": {**self.seconds, "total": round(time.monotonic() - self.began, 1)},
        }  # fmt: skip
        report["ok"] = (
            [run.state for run in runs] == ["success", "failed", "success"]
            and bool(held["sources"])
            and parity["compared"] >= 100_000  # noqa: PLR2004
            and parity["different"] == feast["different"] == 0
            and parity["instants"] >= 2  # noqa: PLR2004
            and feast["compared"] > 0
            and report["expectations"]["failed"] > 0
            and parity["informative"] >= 0.3 * parity["compared"]
        )
        return report

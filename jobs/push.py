"""`asof push`: events of a file go into the tails of the online store. Neither Spark nor Feast."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from features.definitions.catalog import load_catalog
from features.definitions.names import micros
from features.errors import InputError
from features.serving.push import push
from features.settings import Settings
from jobs.commands import Exit, Push
from jobs.stages import say

__all__ = ["run"]

_SHOWN = 5


def run(command: Push, settings: Settings) -> int:
    """Says how many events were new, and why rows were refused; then it exits with 2, the others are taken in.

    Raises:
        MissingError: there is no such source or file.
        InputError: the file cannot be read, or does not fit the source; see `features.serving.push.push`.
        BusyError: the store does not answer; push the same again.
    """
    catalog = load_catalog(settings.catalog)
    rows: pa.Table | list[dict[str, object]] = _read(Path(command.input)) if command.input is not None else []
    told = None if command.watermark is None else micros(command.watermark)
    done = push(settings, catalog, command.source, rows, told)
    say(f"{command.source}: {done.new} events are new, {done.known} were known before, {len(done.refused)} do not fit.")
    for row, reason in sorted(done.refused.items())[:_SHOWN]:
        say(f"  row {row + 1}: {reason}")
    return Exit.REFUSED if done.refused else Exit.OK


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        msg = f"There is no file {path} to push. Give a Parquet, CSV or JSON-lines file."
        raise InputError(msg)
    try:
        match path.suffix.lower():
            case ".parquet":
                return pq.read_table(path)
            case ".csv":
                return pyarrow.csv.read_csv(path)
            case ".json" | ".jsonl" | ".ndjson":
                return pyarrow.json.read_json(path)
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"The file {path} cannot be read: {error}. Write it anew as Parquet, CSV or JSON lines."
        raise InputError(msg) from error
    msg = f"The file {path} ends in {path.suffix or 'nothing'}. Push a .parquet, .csv or .jsonl file."
    raise InputError(msg)

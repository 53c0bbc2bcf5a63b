"""What Spark, Py4J and its Python workers raise, said again as AsofErrors: cause and remedy first, the original in a log.

Nothing else in the project reads Spark's messages.
"""

import errno
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from features import errors
from features.errors import AsofError, BusyError, InputError, MissingError, SettingsError
from jobs.files import FULL

__all__ = ["log_error", "translate", "translated"]


class UnexpectedError(AsofError):
    """Nothing here knows this error: the message is its first line, the log has the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    pattern: str
    """Searched in the whole text of the error, causes of the JVM included."""
    kind: type[AsofError]
    sentence: str
    """With the pattern's named groups."""


# In order: the deepest cause first, since Spark's outer messages name only the stage that failed.
_RULES = (
    _Rule(
        pattern=r"No space left on device|Disk quota exceeded",
        kind=BusyError,
        sentence="The disk is full. Free some space (old attempts are the first to go) and run the same command again: nothing "
        "half-written was published.",
    ),
    _Rule(
        pattern=r"OutOfMemoryError: (?P<what>[^\n]+)",
        kind=BusyError,
        sentence="Spark ran out of memory ({what}). Raise spark.driver_memory in asof.toml (or ASOF_SPARK__DRIVER_MEMORY), or take "
        "more partitions with spark.shuffle_partitions, and run it again.",
    ),
    _Rule(
        pattern=r"Could not connect to meta store|Unable to instantiate \S*SessionHiveMetaStoreClient"
        r"|org\.apache\.thrift\.transport\.TTransportException",
        kind=BusyError,
        sentence="The Hive metastore does not answer. Try again: the bundled one is started anew; of kind thrift, check that "
        "metastore.uri is right and its service runs.",
    ),
    _Rule(
        pattern=r"JAVA_GATEWAY_EXITED|Java gateway process exited",
        kind=SettingsError,
        sentence="Spark's Java stopped before it was ready. Its last words are in spark.log beside that log; the usual causes are a "
        "spark.driver_memory larger than the machine's, or a wrong name in spark.conf.",
    ),
    _Rule(
        pattern=r"Answer from Java side is empty|Error while sending or receiving|while trying to connect to the Java server",
        kind=BusyError,
        sentence="Spark's Java ended while it worked: something killed it, most often the machine, which had no memory left (spark.driver_memory says how much "
        "it takes). What is finished stays; run the same command again.",
    ),
    _Rule(
        pattern=r"(?s:Python worker.*?)ModuleNotFoundError: No module named '(?P<name>[^']+)'",
        kind=SettingsError,
        sentence="The Python that runs Spark's tasks has no module {name}. Set PYSPARK_PYTHON to the Python that Asof is installed in before the "
        "Spark session starts; on a cluster, install it on every node.",
    ),
    _Rule(
        pattern=r"\[TABLE_OR_VIEW_NOT_FOUND\][^\n]*?(?P<name>`[^\n]*`) cannot be found",
        kind=MissingError,
        sentence="There is no table {name}. `asof ingest` makes the tables of sources, `asof publish` those of views; check the name.",
    ),
    _Rule(
        pattern=r"\[SCHEMA_NOT_FOUND\][^\n]*?(?P<name>`[^\n]*`) cannot be found",
        kind=MissingError,
        sentence="There is no database {name}. `asof ingest` makes it; check the name.",
    ),
    _Rule(
        pattern=r"\[UNRESOLVED_COLUMN[^\]]*\][^\n]*?with name (?P<name>`[^\n]*?`) cannot be resolved\.(?P<rest>[^\n]*)",
        kind=MissingError,
        sentence="There is no column {name}.{rest} Correct the definition, or ingest the source with that column.",
    ),
    _Rule(
        pattern=r"\[PARSE_SYNTAX_ERROR\] (?P<rest>[^\n]*)",
        kind=InputError,
        sentence="The SQL cannot be read: {rest} Correct the query.",
    ),
    _Rule(
        pattern=r"\[UNABLE_TO_INFER_SCHEMA\]",
        kind=InputError,
        sentence="The input holds no Parquet and no CSV file. Check the path: files that begin with _ or . do not count.",
    ),
    _Rule(
        pattern=r"RuntimeException: (?P<name>\S+) is not a Parquet file|CANNOT_READ_FILE_FOOTER\][^\n]*?(?P<other>(file:|hdfs:|s3a:)\S+?)\.? ",
        kind=InputError,
        sentence="A file of the input is no Parquet file, or a broken one: {name}{other}. Give Parquet files, or CSV files whose names end with .csv; "
        "a glob of CSV files must end with .csv itself, as in ds=*/*.csv.",
    ),
    _Rule(
        pattern=r"\[COLUMN_ALREADY_EXISTS\][^\n]*?(?P<name>`[^`]*`)",
        kind=InputError,
        sentence="The input has the column {name} twice (case does not tell columns apart). Rename or drop one of them.",
    ),
    _Rule(
        pattern=r"CSV header does not conform to the schema\.\s*Header: (?P<header>[^\n]*)\s*Schema: (?P<schema>[^\n]*)(?s:.*?)CSV file: (?P<name>\S+)",
        kind=InputError,
        sentence="The CSV file {name} has its columns in another order than the other files of the input, or other ones: {header}; the others have {schema}. "
        "Give all files one header, or ingest them one by one.",
    ),
    _Rule(
        pattern=r"\[PATH_NOT_FOUND\][^\n]*?: (?P<name>\S+?)\.? ",
        kind=MissingError,
        sentence="There is no file or folder {name}. Check the path.",
    ),
    _Rule(
        pattern=r"\[FAILED_READ_FILE\.FILE_NOT_EXIST\][^\n]*|FileNotFoundException: (File )?(?P<name>\S+)",
        kind=MissingError,
        sentence="A file that a table's partition points at is gone ({name}). Run that partition's step again: it writes a new one.",
    ),
    _Rule(
        pattern=r"\[FAILED_READ_FILE\.(?P<name>[A-Z_]+)\](?P<rest>[^\n]*)",
        kind=InputError,
        sentence="A file cannot be read as its table declares ({name}):{rest} Ingest that file again.",
    ),
    _Rule(
        pattern=r"\[(?P<name>CAST_INVALID_INPUT|CAST_OVERFLOW[A-Z_]*|NUMERIC_VALUE_OUT_OF_RANGE[A-Z_.]*|ARITHMETIC_OVERFLOW"
        r"|DATATYPE_MISMATCH[A-Z_.]*|INCOMPATIBLE_DATA_FOR_TABLE[A-Z_.]*|CANNOT_MERGE_SCHEMAS|CANNOT_PARSE_TIMESTAMP)\]"
        r"(?P<rest>[^\n]*)",
        kind=InputError,
        sentence="A value or column has another type than declared ({name}):{rest} Correct the declared type or the input.",
    ),
)

_DENIED = "{name} may not be read or written by this user. Give the right to it, or set another folder (home in asof.toml, or ASOF_HOME; tables.root for tables)."
_SYSTEM: dict[int, tuple[type[AsofError], str]] = {
    errno.EACCES: (SettingsError, _DENIED),
    errno.EPERM: (SettingsError, _DENIED),
    errno.EROFS: (
        SettingsError,
        "{name} lies on a file system that is read only. Set another folder (home in asof.toml, or ASOF_HOME; tables.root for tables).",
    ),
    errno.EISDIR: (InputError, "{name} is a folder, and a file is needed there. Name a file."),
    errno.ENOTDIR: (InputError, "{name} goes through a file as if it were a folder. Check the path."),
    errno.EEXIST: (
        InputError,
        "{name} is a file, and a folder is needed there. Name another folder, or move the file away.",
    ),
}

# A worker's traceback ends with `features.errors.HeldError: text`, the text until the JVM's own stack begins.
_WORKER = re.compile(
    r"^(?:features\.errors\.)(?P<kind>\w+): (?P<text>.*?)(?=\n\s*(?:at [\w.$/]+\(|Driver stacktrace|(?:org\.apache|java|py4j)\.[\w.$]+: |Caused by: |\.\.\. \d+ more|During handling|The above exception)|\Z)",
    re.MULTILINE | re.DOTALL,
)


def translate(error: BaseException, logs: Path) -> AsofError:
    """What a person is told of this error; its full text goes to `logs/errors.log`, which the message names.

    An AsofError comes back as it is, also one that a Python worker raised inside Spark.
    """
    if isinstance(error, AsofError):
        return error
    text = _full_text(error)
    if told := _from_worker(text):
        told.__cause__ = error
        return told
    log = log_error(error, logs)
    told = (
        _by_rule(error, text, log)
        or _by_system(error, log)
        or UnexpectedError(f"{_first_line(error)}\nThe full text is in {log}.")
    )
    told.__cause__ = error
    return told


@contextmanager
def translated(logs: Path) -> Iterator[None]:
    """Around Spark's own calls: what leaves the block is an AsofError with its cause."""
    try:
        yield
    except AsofError:
        raise
    except Exception as error:
        told = translate(error, logs)
        raise told from error


def log_error(error: BaseException, logs: Path) -> Path:
    """Append the whole error to `errors.log` and say where that is; a full disk does not hide the error itself."""
    log = logs / "errors.log"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"\n--- {datetime.now(UTC).isoformat()}\n{''.join(traceback.format_exception(error))}")
    except OSError:
        pass
    return log


def _from_worker(text: str) -> AsofError | None:
    for match in _WORKER.finditer(text):
        kind = getattr(errors, match["kind"], None)
        if isinstance(kind, type) and issubclass(kind, AsofError):
            # Its own constructor may ask for more than the text that travelled; a catalogue's problems are one text by now.
            kind = errors.InvalidDefinitionError if kind is errors.InvalidCatalogError else kind
            return kind(match["text"].strip())
    return None


def _by_rule(error: BaseException, text: str, log: Path) -> AsofError | None:
    for rule in _RULES:
        match = re.search(rule.pattern, text)
        if match is None and not (rule is _RULES[0] and _disk_full(error)):
            continue
        groups = {name: _tidy(value) for name, value in (match.groupdict() if match else {}).items()}
        sentence = rule.sentence.format(**groups)
        return rule.kind(f"{sentence}\nThe full text is in {log}.")
    return None


def _by_system(error: BaseException, log: Path) -> AsofError | None:
    """What the file system refused to Python."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in _SYSTEM and each.filename is not None:
            kind, sentence = _SYSTEM[each.errno]
            return kind(f"{sentence.format(name=each.filename)}\nThe full text is in {log}.")
    return None


def _disk_full(error: BaseException) -> bool:
    return any(isinstance(each, OSError) and each.errno in FULL for each in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _full_text(error: BaseException) -> str:
    """The error, its Python causes, and the JVM's causes that pyspark keeps aside."""
    # Captured errors hide the JVM's stack unless a Spark setting shows it; their text alone can lack the root cause.
    return "\n".join(
        f"{type(each).__name__}: {_said(each)}\n{getattr(each, '_stackTrace', None) or ''}" for each in _chain(error)
    )


def _said(error: BaseException) -> str:
    """Its text; of one of Java's, which is asked for it each time, what is known here where Java is no longer there."""
    try:
        return str(error)
    except Exception as gone:  # noqa: BLE001 - whatever the gateway raises
        return f"{' '.join(map(str, error.args))} ({type(gone).__name__}: while trying to connect to the Java server)"


def _tidy(value: str | None) -> str:
    return re.sub(r"\s*SQLSTATE: \w+.*$", "", value or "unnamed")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in _said(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

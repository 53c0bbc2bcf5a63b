"""What `asof frame` was asked for: a label file, the events of a label, or a manifest. No engine."""

from datetime import datetime

from features.errors import InputError
from jobs.frame_commands import Frame, LabelledFrame, Rebuild

__all__ = ["chosen_frame", "refuse_span"]

_WAYS = (
    "Give --labels FILE for rows of your own, --label NAME with --start, --end and --as-of for the events of a label, or --from-manifest FILE "
    "for a frame made before."
)


def chosen_frame(  # noqa: PLR0913 - an option each
    *,
    out: str,
    service: str | None,
    labels: str | None,
    manifest: str | None,
    label: str | None,
    span: tuple[datetime | None, datetime | None, datetime | None],
    sample: tuple[str, ...],
    split: tuple[str, ...],
) -> Frame | LabelledFrame | Rebuild:
    """The one command that these options mean; `span` is start, end and as_of.

    Raises:
        InputError: they mean none, or several.
    """
    of_label = {"--start": span[0], "--end": span[1], "--as-of": span[2], "--sample": sample, "--split": split}
    given = [option for option, value in of_label.items() if value]
    if label is None and given:
        msg = f"{', '.join(given)} belong to the events of a label: give --label NAME too, or leave them away."
        raise InputError(msg)
    if manifest is not None:
        if service is not None or label is not None:
            msg = "--from-manifest says service and label itself. Leave --service and --label away."
            raise InputError(msg)
        return Rebuild(manifest=manifest, out=out, labels=labels)
    if (labels is None) == (label is None):
        raise InputError(
            f"{'Neither' if label is None else 'Both'} --labels {'nor' if label is None else 'and'} --label given. {_WAYS}"
        )
    if service is None:
        msg = "Missing option --service: which features the frame is of. `asof status` and the catalogue name the services."
        raise InputError(msg)
    if labels is not None:
        return Frame(labels=labels, service=service, out=out)
    start, end, as_of = span
    if label is None or start is None or end is None or as_of is None:
        missing = [option for option in ("--start", "--end", "--as-of") if not of_label[option]]
        msg = f"Missing option {', '.join(missing)}: --label takes the events from --start on, before --end, as known at --as-of."
        raise InputError(msg)
    refuse_span(start, end, as_of)
    return LabelledFrame(
        label=label, start=start, end=end, as_of=as_of, service=service, out=out, sample=sample, split=split
    )


def refuse_span(start: datetime, end: datetime, as_of: datetime) -> None:
    """Start before end, and the end not after what is known.

    Raises:
        InputError: it is not so.
    """
    if start >= end:
        msg = f"--start {start.isoformat()} is not before --end {end.isoformat()}. Events from --start on, and before --end, are taken."
        raise InputError(msg)
    if end > as_of:
        msg = (
            f"--end {end.isoformat()} is after --as-of {as_of.isoformat()}: events after --as-of are not known. "
            "End at --as-of or before, or ask as of a later instant."
        )
        raise InputError(msg)

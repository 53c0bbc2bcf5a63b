"""Stands where `asof` stands: takes its arguments, says what it does, and ends as the day in TOY_ROOT/<stage>-<day> says.

Such a file holds one exit code a line, one for each attempt; without it, or after its last line, the command ends with 0.
"""

import os
import sys
import time
from pathlib import Path


def main() -> int:
    """Gives the exit code."""
    stage, cut = sys.argv[1], sys.argv[sys.argv.index("--cut") + 1]
    root = Path(os.environ["TOY_ROOT"])
    with (root / "ran.txt").open("a", encoding="utf-8") as ran:
        ran.write(f"{stage} {cut}\n")
    attempts = (root / "ran.txt").read_text(encoding="utf-8").splitlines().count(f"{stage} {cut}")
    plan = root / f"{stage}-{cut[:10]}"
    codes = [int(code) for code in plan.read_text(encoding="utf-8").split()] if plan.exists() else []
    code = codes[attempts - 1] if attempts <= len(codes) else 0
    print(f"{stage} of {cut}: attempt {attempts}")  # noqa: T201
    if code == -1:
        (root / "asleep").write_text(str(os.getpid()), encoding="utf-8")
        time.sleep(600)
    if code:
        print(f"{stage} ends with {code}: card_velocity", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())

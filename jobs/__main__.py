"""`python -m jobs <command>`, and `spark-submit jobs/__main__.py <command>`.

spark-submit puts this file's own folder first on the path: there our names could hide the standard library's, and `features` is not.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

if not __package__:
    _HERE = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE]
    if find_spec("features") is None:
        sys.path.append(str(_HERE.parent))

# The path comes first.
from jobs.cli import main

if __name__ == "__main__":
    main()

# pyarrow makes most functions of this module when it is imported, and its own types know only the written ones.
from typing import Any

def __getattr__(name: str) -> Any: ...  # noqa: ANN401

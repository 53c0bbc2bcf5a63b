"""The meaning of a value: versions, expressions, windows. numpy, numba and Arrow only."""

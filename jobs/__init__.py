"""HOW, in PySpark: one module a command, and what they share."""

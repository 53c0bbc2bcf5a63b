"""The risk catalogue: what analysts edit, one file a domain."""

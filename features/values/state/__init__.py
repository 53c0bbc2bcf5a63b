"""The state of an entity and view as of a cut: what a lookup finishes at any later instant (semantics 5, docs/state.md)."""

"""Definitions as Feast's objects, its registry and its settings file: the only place of the features that speaks Feast."""

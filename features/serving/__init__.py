"""Lookups: the values of a service's features for some keys, with status and age."""

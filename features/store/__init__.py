"""The online store: Feast's plain layout of keys and values, written and read without Feast, and one head record a view."""

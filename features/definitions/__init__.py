"""WHAT a feature is: frozen data, checked on creation, standard library only."""

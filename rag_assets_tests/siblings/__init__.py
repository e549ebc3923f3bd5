"""Siblings of known faults: for each kind, files of the same mechanism and what a person reads in them."""

"""Explores kept and dropped rows of a finished table by facets, filters, search and a map."""

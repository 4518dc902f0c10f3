"""Verify: what people say about rows. Labelling sheets out, verdicts in, and the accuracy of a filter on its pool."""

"""Annotation by people: writes labelling sheets, reads verdicts back, and estimates the accuracy of a filter."""

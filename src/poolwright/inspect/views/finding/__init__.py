"""Finds rows of a view: bits of the rows that a filter finds, and texts that contain words."""

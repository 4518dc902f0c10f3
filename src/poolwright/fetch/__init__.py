"""Fetch images from the web: guarded, polite, bounded, and with an outcome for every row."""

"""Fetch with img2dataset, which runs in an environment of its own."""

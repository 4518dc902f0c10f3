"""Benchmarks against peers: `make bench`, or `make bench NAME=label` for one. Each result is a ratio from one run."""

"""Side-by-side measurements: `make bench`, or `make bench NAME=label` for one. Each is a ratio from one run."""

"""Draw rows by the histogram of a column."""

"""Pages on the rows of tables, kept and dropped.

query_state  the state of a page in its URL: filter, search, threshold, order
views        views of tables that all pages share, and work in the background
boxes        facets, histograms, the threshold of a search
cards        rows as pages show them
rows         the page of rows, and one row with its story
mapping      the map and its lasso
comparing    two groups side by side
reporting    the report, in a frame of its own
"""

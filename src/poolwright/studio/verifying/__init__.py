"""Pages on which people give verdicts, and the queues behind them.

open_queues  the queues of a run, each opened once
live         a queue at work: next questions, verdicts, progress
leases       rows that are reserved for a person for a while
undoing      acts that a person can take back
asking       the pages with pictures, and the requests they send
results      overview of a queue: groups, people, certificate, import and export
estimating   precision, recall and prevalence while verdicts arrive
reviewing    rows on which people differ
choosing     rows of all classes in turns, if people choose the class
parts        groups that are asked of some people only
making       the list of queues, and new ones
guide        the page of instructions
"""

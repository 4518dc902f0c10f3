"""Verifying: pages on which people give verdicts, and what becomes of them.

open_queues  the queues of a run, each opened once
live         a queue at work: who is asked what next, what was said, what follows
leases       which rows are kept from others, and until when
undoing      what a person can take back
asking       the pages with pictures, and the requests they send
results      overview of a queue: groups, people, certificate, import and export
estimating   precision, recall and prevalence while verdicts come in
making       the list of queues, and new ones
guide        the page of instructions
"""

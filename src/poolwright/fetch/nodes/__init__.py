"""Fetch on several machines.

coordinator   one object: limits of hosts, what hosts ask of crawlers, which shards are being fetched
remote_centre the same as a process sees it
process       fetches shards, on a node
driver        gives shards to the processes, and those of a lost one to others
"""

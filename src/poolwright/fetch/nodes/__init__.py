"""Fetch in several processes, of this machine or of several.

coordinator   one object: limits of hosts, what hosts ask of crawlers, which shards are being fetched
remote_centre the same as a process sees it
process       fetches shards
driver        gives shards to the processes, those of a lost one to others, and puts in place what they finish
"""

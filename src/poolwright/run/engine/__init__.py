"""Engines: they run functions over units of work, on threads of this process or on Ray."""

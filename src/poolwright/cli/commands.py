"""Adds the commands to the application: each module adds its own, in the order of the help."""

# isort: off
from poolwright.cli import running, inspecting, comparing, annotating, data, publishing, listing, completion

__all__ = ["annotating", "comparing", "completion", "data", "inspecting", "listing", "publishing", "running"]

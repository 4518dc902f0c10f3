"""Reasons for dropping rows that several steps share."""

from poolwright.core.step import Reason

NO_GROUP = Reason("no_group", "no value in the group column")
NO_VALUE = Reason("no_value", "no value to rank by")

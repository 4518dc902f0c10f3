"""Reasons that several steps of this room drop rows for."""

from poolwright.core.step import Reason

NO_GROUP = Reason("no_group", "no value in the group column")
NO_VALUE = Reason("no_value", "no value to rank by")

"""Converts the values of arguments and options when there are values, since typer loads pydantic for it."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class LateCommand(TyperCommand):
    """A command that makes the converter of a parameter when it is given."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` included."""
        return _convert_late(super().get_params(ctx))


class LateGroup(TyperGroup):
    """A group of commands that makes the converter of a parameter when it is given."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` included."""
        return _convert_late(super().get_params(ctx))


class _Late:
    """Takes the place of a parameter's converter until a value has to be converted."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if ctx.resilient_parsing:  # a shell completes the words; nothing is called with them
            return value
        param._runtime_param = None
        converter = param.get_runtime_param()
        return converter.coerce(value, param=param, ctx=ctx)


def _convert_late(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "_runtime_param", param) is None:  # other versions of typer convert by other means
            param._runtime_param = _Late()
    return params

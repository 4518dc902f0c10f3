"""The distribution that a class comes from, if that is not poolwright itself."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, packages_distributions, version

_OWN = __name__.partition(".")[0]


def provider_of(cls: type) -> str:
    """Distribution and version that a class comes from, such as 'poolwright-webdataset 1.2'.

    '' for poolwright's own classes; the name of the top-level module alone if no installed distribution has it.
    """
    package = cls.__module__.partition(".")[0]
    if package == _OWN:
        return ""
    name = next(iter(packages_distributions().get(package, ())), package)
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return package

"""The packages that the program needs, and whether they are installed; none of them is imported."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

#: The name of this program's package.
PACKAGE = "mail"


class Package(NamedTuple):
    """A package that the program needs."""

    name: str
    version: str | None
    """None if it is not installed."""
    required: str
    """The versions that will do, e.g. `>=2.21`; empty for any."""

    @property
    def fault(self) -> str:
        """What is wrong with it, and how to fix it; empty if nothing is."""
        remedy = f"Install it with: pip install '{self.name}{self.required}'"
        if self.version is None:
            return f"is not installed. {remedy}"
        if not SpecifierSet(self.required).contains(self.version, prereleases=True):
            return f"has version {self.version}, expected {self.required}. {remedy}"
        return ""


def required_packages() -> list[Package]:
    """The packages of the installation's requirements, without those of its extras; none without an installation."""
    try:
        texts = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        # The program runs from its source code.
        return []
    requirements = [Requirement(text) for text in texts]
    return [
        Package(requirement.name, installed_version(requirement.name), str(requirement.specifier))
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]


def installed_version(name: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def python_fault() -> str:
    """What is wrong with the version of Python; empty if nothing is."""
    try:
        required = metadata.metadata(PACKAGE)["Requires-Python"]
    except (metadata.PackageNotFoundError, KeyError):
        return ""
    if SpecifierSet(required or "").contains(platform.python_version(), prereleases=True):
        return ""
    return f"is {platform.python_version()}, expected {required}. Make the virtual environment with another Python"

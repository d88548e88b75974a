"""Options of rankers and methods: texts from --set or TOML -> values of the constructor's types."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Sequence
from typing import Any

#: The largest whole number, that of 64 bits.
LARGEST = 2**63 - 1
#: Types of options that are one value.
_SCALARS = (bool, int, float, str)
_BOOLEANS = {"true": True, "false": False}


def option_types(cls: Any) -> dict[str, Any]:
    """The annotations of a class's constructor, by keyword; empty if one of them cannot be resolved."""
    try:
        return typing.get_type_hints(inspect.unwrap(cls.__init__))
    except Exception:
        # Such as names that only a type checker imports.
        return {}


def cast_option(default: Any, annotation: Any, key: str, value: Any) -> Any:
    """An option in the type of its default; where that is None, () or [], in the type of its annotation.

    Args:
        default: the constructor's.
        annotation: of the constructor's keyword; None if it has none.
        key: the option's name.
        value: a text, or a value of a TOML file.

    Raises:
        ValueError: the value does not have the type, or there is none.
    """
    if default is None or (isinstance(default, list | tuple) and not default):
        return _cast_annotated(default, annotation, key, value)
    try:
        if isinstance(default, Sequence) and not isinstance(default, str):
            return _cast_list(type(default[0]), value)
        return _cast_scalar(type(default), value)
    except (TypeError, ValueError, KeyError):
        raise ValueError(f"`{key}` should be like {default!r}. Received: {value!r}") from None


def _cast_annotated(default: Any, annotation: Any, key: str, value: Any) -> Any:
    """An option whose default has no type; `none` stands for None, an empty text for () or []."""
    kinds = _alternatives(annotation)
    is_list, scalar = _element(kinds[0]) if len(kinds) == 1 else (False, None)
    if scalar not in _SCALARS:
        raise ValueError(
            f"`{key}` has the default {default!r}, so its type is unknown; annotate it in the constructor, for example "
            "as `float | None` or `Sequence[int]`, to set it"
        )
    if str(value).lower() == "none" and default is None:
        return None
    try:
        if not is_list:
            return _cast_scalar(scalar, value)
        return _cast_list(scalar, value) if value not in ("", []) else ()
    except (TypeError, ValueError, KeyError):
        expected = f"a list of {scalar.__name__}" if is_list else scalar.__name__
        raise ValueError(f"`{key}` should be {expected}. Received: {value!r}") from None


def _alternatives(annotation: Any) -> list[Any]:
    """The types of a union without None, or the type itself."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return [annotation]


def _element(kind: Any) -> tuple[bool, Any]:
    """Whether a type is a list, and the type of its values: `Sequence[int]`, `tuple[int, ...]`, `list[int]`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(origin, type) and issubclass(origin, Sequence) and arguments:
        return True, arguments[0]
    return False, kind


def _cast_scalar(kind: Any, value: Any) -> Any:
    if kind is bool:
        return _BOOLEANS[str(value).lower()]
    if kind is not str and "_" in str(value):
        # Python reads 1_6 as 16, but a run's name would have another text.
        raise ValueError
    cast = kind(value)
    if kind is float and not math.isfinite(cast):
        raise ValueError
    if kind is int and abs(cast) > LARGEST:
        raise ValueError
    return cast


def _cast_list(kind: Any, value: Any) -> tuple[Any, ...]:
    return tuple(_cast_scalar(kind, part) for part in (value.split(",") if isinstance(value, str) else value))

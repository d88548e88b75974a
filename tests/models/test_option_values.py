"""Options in the types of the constructor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import pytest

from mailcli.models.option_values import cast_option, option_types


class Layer:
    def __init__(  # type: ignore[no-untyped-def]
        self,
        rate: float | None = None,
        width: Optional[int] = None,  # noqa: UP045
        units: tuple[int, ...] = (),
        shares: Sequence[float] = (),
        flag: bool | None = None,
        name: str | None = None,
        either: int | str | None = None,
        anything=None,
    ) -> None:
        pass


@pytest.mark.parametrize(
    ("key", "default", "text", "value"),
    [
        ("rate", None, "0.5", 0.5),
        ("rate", None, "none", None),
        ("rate", None, "None", None),
        ("width", None, "8", 8),
        ("units", (), "8,4", (8, 4)),
        ("units", (), "8", (8,)),
        ("units", (), "", ()),
        ("units", (), [8, 4], (8, 4)),
        ("units", [], "8,4", (8, 4)),
        ("shares", (), "0.5,1", (0.5, 1.0)),
        ("flag", None, "False", False),
        ("flag", None, "true", True),
        ("name", None, "x", "x"),
    ],
)
def test_an_annotation_gives_the_type_that_the_default_lacks(key: str, default: Any, text: Any, value: Any) -> None:
    cast = cast_option(default, option_types(Layer)[key], key, text)
    assert (cast, type(cast)) == (value, type(value))


@pytest.mark.parametrize(
    ("key", "default", "text", "error"),
    [
        ("rate", None, "wide", "`rate` should be float. Received: 'wide'"),
        ("width", None, "1.5", "`width` should be int. Received: '1.5'"),
        ("width", None, "9" * 20, f"`width` should be int. Received: '{'9' * 20}'"),
        ("units", (), "8,x", "`units` should be a list of int. Received: '8,x'"),
        ("width", None, "1_6", "`width` should be int. Received: '1_6'"),
        ("units", (), "8,1_6", "`units` should be a list of int. Received: '8,1_6'"),
        ("rate", None, "nan", "`rate` should be float. Received: 'nan'"),
        ("rate", 0.5, "inf", "`rate` should be like 0.5. Received: 'inf'"),
        ("shares", (), "0.5,-inf", "`shares` should be a list of float. Received: '0.5,-inf'"),
        ("flag", None, "maybe", "`flag` should be bool. Received: 'maybe'"),
        ("either", None, "1", "`either` has the default None, so its type is unknown; annotate it in the constructor"),
        ("anything", None, "1", "`anything` has the default None, so its type is unknown"),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, default: Any, text: str, error: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        cast_option(default, option_types(Layer).get(key), key, text)
    assert str(raised.value).startswith(error)


def test_a_class_whose_annotations_cannot_be_resolved_has_none() -> None:
    class Unresolved:
        def __init__(self, rate: Missing = None) -> None:  # type: ignore[name-defined]  # noqa: F821
            pass

    class OfModules:
        def __init__(self, rate: "pytest.Nowhere | None" = None, units: "a list of widths" = ()) -> None:  # type: ignore # noqa: F722, UP037
            pass

    for cls in (Unresolved, OfModules):
        assert option_types(cls) == {}

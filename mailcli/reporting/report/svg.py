"""Figures as SVG inside a page: they take its colors, and share no names with each other."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from mailcli.escape import terminal
from mailcli.reporting.plots._style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
#: Figures for a page are drawn with these: texts stay texts, and the page shows through.
PAGE_STYLE: Any = {**STYLE, "svg.fonttype": "none", "figure.facecolor": "none", "axes.facecolor": "none"}
_COLORS = {"#000000": "currentcolor", "#ffffff": "var(--surface)"}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """An SVG element for a page.

    Args:
        figure: drawn with PAGE_STYLE.
        name: of its own on the page; the ids of the figure's parts begin with it.
        alt: what the figure shows, for readers who do not see it.
    """
    import matplotlib as mpl

    file = io.BytesIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context(PAGE_STYLE):
        figure.savefig(file, format="svg", bbox_inches="tight", metadata=no_metadata)
    root = ElementTree.fromstring(file.getvalue())
    _remove_metadata_and_styles(root)
    for element in root.iter():
        _rename(element, name)
        if "style" in element.attrib:
            element.set("style", _style_of_page(element.attrib["style"]))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-label": terminal(alt)}
    return _serialize(root)


def _style_of_page(style: str) -> str:
    """Black is the color of the page's texts, and white that of what is behind them."""
    for color, name in _COLORS.items():
        style = style.replace(color, name)
    return style


def _remove_metadata_and_styles(root: ElementTree.Element) -> None:
    """Remove the file's metadata and its rules of style, which would apply to the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}:
                parent.remove(child)


def _rename(element: ElementTree.Element, prefix: str) -> None:
    """Put a prefix before the id of an element, and before those that it refers to."""
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif key == f"{{{_XLINK}}}href" and value.startswith("#"):
            element.set(key, f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, _REFERENCE.sub(rf"url(#{prefix}-\1)", value))


def _serialize(root: ElementTree.Element) -> str:
    """HTML knows the namespaces of SVG without their addresses, and `href` without one."""
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        if f"{{{_XLINK}}}href" in element.attrib:
            element.set("href", element.attrib.pop(f"{{{_XLINK}}}href"))
    return ElementTree.tostring(root, encoding="unicode")

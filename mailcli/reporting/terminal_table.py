"""A table on a terminal: no line is longer than the terminal is wide, and numbers are never cut.

Where a table is too wide, the narrowest of its layouts is taken; where that is too wide as well, its columns follow one
another in several parts, each with the names of the lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mailcli.escape import terminal
from mailcli.reporting.text_table import Layout, TextBlock, TextCell, TextTable

#: How a cell of rank 0, 1 (best) and 2 (second best) is marked.
_STYLES = ("", "bold", "underline")
#: What a cell without a number holds.
_NOTHING = {"", "-"}
#: The narrowest terminal that is heeded (ours): below it, lines are broken by the terminal.
_NARROWEST = 40
#: Prose stands below its names if they leave it less than this part of the width, a third (ours).
_PROSE_PARTS = 3
#: The width of a table that no terminal limits.
_UNLIMITED = 10_000


def terminal_table(table: TextTable, width: int | None) -> str:
    """The table as text; the best cell of a block is bold, the second best underlined.

    Args:
        table: what to show.
        width: of the terminal; None if the output goes elsewhere, where lines may be long.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    limit = _UNLIMITED if width is None else max(width, _NARROWEST)
    # Prose wraps in any case.
    console.width = console.width if table.wraps and width is None else limit
    layout, grids = _plain_layout(table), list[RichTable]()
    prose_is_below = table.wraps and _names_width(layout) + console.width // _PROSE_PARTS > console.width
    if table.wraps and not prose_is_below:
        grids = [_prose_grid(layout)]
    elif not table.wraps:
        layouts = [with_numbers(layout) for layout in table.layouts] or [layout]
        layout, grids = _fitting(console, layouts, limit)
    with console.capture() as captured:
        _print_wrapped(console, table.title, "bold", limit)
        if prose_is_below:
            _print_prose_below_names(console, layout)
        for number, grid in enumerate(grids):
            if number:
                console.print()
            console.print(grid)
        for note in layout.notes:
            _print_wrapped(console, note, "dim", limit)
    return captured.get()


def _plain_layout(table: TextTable) -> Layout:
    """That of a table without others for terminals; it is shown as it is."""
    return Layout(table.head, table.blocks, table.notes)


def _fitting(console: Console, layouts: Sequence[Layout], limit: int) -> tuple[Layout, list[RichTable]]:
    """The first layout that fits, as Rich draws it; the parts of the last one if none does."""
    for layout in layouts:
        if _width(console, layout) <= limit:
            return layout, [_grid(layout)]
    return layouts[-1], _parts(console, layouts[-1], limit)


def with_numbers(layout: Layout) -> Layout:
    """The layout without columns and blocks that hold no number; all of them if there is none anywhere."""
    blocks = [block for block in layout.blocks if any(_has_number(line, layout.names) for line in block.lines)]
    lines = [line for block in blocks for line in block.lines]
    kept = [
        number
        for number in range(len(layout.head))
        if number < layout.names or any(line[number].text not in _NOTHING for line in lines)
    ]
    return _columns(layout._replace(blocks=tuple(blocks)), kept) if blocks else layout


def _has_number(line: Sequence[TextCell], names: int) -> bool:
    return any(cell.text not in _NOTHING for cell in line[names:])


def _columns(layout: Layout, kept: Sequence[int]) -> Layout:
    """Some of the columns of a layout."""
    blocks = [
        TextBlock(block.title, [[line[number] for number in kept] for line in block.lines]) for block in layout.blocks
    ]
    return layout._replace(head=tuple(layout.head[number] for number in kept), blocks=tuple(blocks))


def _parts(console: Console, layout: Layout, limit: int) -> list[RichTable]:
    """A layout that is too wide, cut between columns; names are broken where they would take more than a third."""
    names, broken_at = list(range(layout.names)), limit // 3
    parts: list[list[int]] = []
    for number in range(layout.names, len(layout.head)):
        widened = _columns(layout, [*names, *(parts[-1] if parts else []), number])
        if parts and _width(console, widened, broken_at) <= limit:
            parts[-1].append(number)
        else:
            parts.append([number])
    first, *others = (_columns(layout, [*names, *part]) for part in parts)
    return [_grid(part, broken_at) for part in (first, *map(_without_empty_lines, others))]


def _without_empty_lines(layout: Layout) -> Layout:
    """The layout without lines that hold no number; a name that stood in such a line moves to the next one."""
    blocks = []
    for block in layout.blocks:
        lines, name = [], TextCell("")
        for first, *others in block.lines:
            name = first if first.text else name
            if _has_number([first, *others], layout.names):
                lines.append([name, *others])
                name = TextCell("")
        blocks.append(TextBlock(block.title, lines))
    return layout._replace(blocks=tuple(block for block in blocks if block.lines))


def _width(console: Console, layout: Layout, broken_at: int | None = None) -> int:
    grid = _grid(layout, broken_at)
    return console.measure(grid, options=console.options.update(width=_UNLIMITED)).maximum


def _grid(layout: Layout, broken_at: int | None = None) -> RichTable:
    """The table as Rich draws it.

    Args:
        layout: head, blocks and cells.
        broken_at: the width at which the names in the first column are broken; None for never.
    """
    grid = RichTable(show_edge=False, pad_edge=False)
    for position, name in enumerate(layout.head):
        is_first = position == 0
        grid.add_column(
            terminal(name),
            justify="left" if position < layout.names else "right",
            no_wrap=broken_at is None or not is_first,
            max_width=broken_at if is_first else None,
            overflow="fold",
        )
    return _filled(grid, layout)


def _prose_grid(layout: Layout) -> RichTable:
    """A table whose last column is prose: it wraps, and nothing is a number."""
    grid = RichTable(show_edge=False, pad_edge=False)
    for position, name in enumerate(layout.head):
        grid.add_column(terminal(name), no_wrap=position < len(layout.head) - 1, overflow="fold")
    return _filled(grid, layout)


def _names_width(layout: Layout) -> int:
    """How wide the columns before the last one are, with what separates them from the next."""
    lines = [list(layout.head), *([cell.text for cell in line] for block in layout.blocks for line in block.lines)]
    columns = list(zip(*lines, strict=True))[:-1]
    return sum(max(cell_len(terminal(text)) for text in column) + len(" │ ") for column in columns)


def _print_prose_below_names(console: Console, layout: Layout) -> None:
    """The lines of a table whose names leave too little room next to them."""
    for block in layout.blocks:
        if block.title:
            _print_wrapped(console, block.title, "bold", console.width)
        for *names, prose in block.lines:
            style = _STYLES[prose.rank]
            _print_wrapped(console, "  ".join(name.text for name in names if name.text), style, console.width)
            for line in Text(terminal(prose.text)).wrap(console, console.width - 4):
                console.print(Text(f"    {line.plain.rstrip()}", style), soft_wrap=True)


def _filled(grid: RichTable, layout: Layout) -> RichTable:
    """The table with its lines."""
    for block in layout.blocks:
        if block.title:
            grid.add_row(terminal(block.title), style="bold")
        for line in block.lines:
            cells = [Text(terminal(cell.text), _STYLES[cell.rank]) for cell in line]
            grid.add_row(*cells, end_section=line is block.lines[-1])
    return grid


def _print_wrapped(console: Console, text: str, style: str, limit: int) -> None:
    """Print lines that are broken between words; those that follow are indented."""
    whole = Text(terminal(text))
    first, *others = whole.wrap(console, limit)
    lines = [first.plain.rstrip()]
    if others:
        rest = Text(whole.plain[len(first.plain) :].lstrip())
        lines += [f"  {line.plain.rstrip()}" for line in rest.wrap(console, limit - 2)]
    for line in lines:
        console.print(Text(line, style), soft_wrap=True)

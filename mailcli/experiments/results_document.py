"""Experiments -> one Markdown document: tables, what they show, figures, and what they were made with.

Every section fits a screen: an experiment's numbers for new users, what its audit says, and a figure. Its other tables
are in an appendix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from mailcli.data.display_name import worlds_name
from mailcli.escape import markdown, markdown_code
from mailcli.experiments.experiment import Experiment
from mailcli.experiments.results_tables import SectionTables, legends, section_tables
from mailcli.reporting.formats import render
from mailcli.reporting.provenance import cost_note, environment_notes
from mailcli.reporting.tables import ResultTable
from mailcli.reporting.text_table import TextTable
from mailcli.runs.folder import RunFolder

#: The figure that is shown, of rows and of a grid; a section links to its others.
_SHOWN_FIGURES = {"forest", "map"}
_APPENDIX = "Further tables"
#: What every document says, by which `mail results` knows those that it may replace.
WRITTEN_BY = "This file is written by `mail results`"


@dataclass(frozen=True)
class ExperimentSection:
    """One experiment."""

    experiment: Experiment
    tables: Sequence[ResultTable | TextTable]
    """A text is shown as it is: the table of a grid."""
    runs: Sequence[RunFolder]
    """All runs behind the tables, with baselines."""
    figures: Sequence[Path]
    """Relative to the document."""

    @property
    def title(self) -> str:
        """The title of its first table, which says whether the data is simulated."""
        return self.tables[0].title


def render_document(sections: Sequence[ExperimentSection], reading: str) -> str:
    """The whole document.

    Args:
        sections: one per experiment; those on the same dataset are put next to each other.
        reading: what they show together, in Markdown; it comes first.
    """
    runs = [run for section in sections for run in section.runs]
    datasets = list(dict.fromkeys(section.runs[0].config.data for section in sections))
    sections = sorted(sections, key=lambda section: datasets.index(section.runs[0].config.data))
    tables = [section_tables(section.tables) for section in sections]
    parts = [
        "# Results",
        reading.strip(),
        "## Tables",
        _contents(sections, tables),
        *(
            part
            for number, (section, own) in enumerate(zip(sections, tables, strict=True), start=1)
            for part in _section(section, own, number)
        ),
        _anchored("reading-the-tables", "How to read the tables"),
        "The tables are of new and old users; `mail run` prints those of all users and of the naturally new as well.",
        _bullets(legends(table for section in sections for table in section.tables)),
        _anchored("environment", "What it was made with"),
        f"{WRITTEN_BY} from the kept small files of finished runs: do not edit it. Each section names the "
        "command that trains its runs.",
        _bullets(environment_notes(runs)),
        *_appendix(tables),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _contents(sections: Sequence[ExperimentSection], tables: Sequence[SectionTables]) -> str:
    """Links to what follows the sections, and to these, by dataset where there are several."""
    notes = {"reading-the-tables": "How to read the tables", "environment": "What it was made with"}
    if any(own.others for own in tables):
        notes["further-tables"] = _APPENDIX
    parts = [", ".join(_link(title, anchor) for anchor, title in notes.items()) + "."]
    numbered = list(enumerate(sections, start=1))
    groups = [(data, list(group)) for data, group in groupby(numbered, key=lambda pair: _data(pair[1]))]
    for data, group in groups:
        if len(groups) > 1:
            parts.append(f"### {markdown(data)}")
        parts.append("\n".join(f"- {_link(section.title, _anchor(number))}" for number, section in group))
    return "\n\n".join(parts)


def _data(section: ExperimentSection) -> str:
    """The dataset of a section, or the number of its worlds."""
    names = list(dict.fromkeys(run.config.data for run in section.runs))
    if len(names) > 1:
        return worlds_name(len(names))
    return str((section.runs[0].result or {})["dataset"])


def _link(title: str, anchor: str) -> str:
    return f"[{markdown(title)}](#{anchor})"


def _anchor(number: int, appendix: int = 0) -> str:
    """The anchor of a section, or of one of its tables in the appendix, which count from 1."""
    return f"experiment-{number}" + (f"-{appendix}" if appendix else "")


def _anchored(anchor: str, title: str, level: int = 2) -> str:
    """A heading with an anchor of its own: renderers make different ones from a title."""
    return f'<a id="{anchor}"></a>\n\n{"#" * level} {markdown(title)}'


def _section(section: ExperimentSection, tables: SectionTables, number: int) -> list[str]:
    """The heading, what the tables show, the table of new users, a figure, and how all of it is made."""
    experiment = section.experiment
    links = [_link(table.name, _anchor(number, position)) for position, table in enumerate(tables.others, start=1)]
    return [
        _anchored(_anchor(number), section.title),
        markdown(experiment.reading),
        _without_title(tables.shown),
        f"**{markdown(tables.verdicts)}**" if tables.verdicts else "",
        f"Further tables: {', '.join(links)}." if links else "",
        *_figures(section.figures),
        f"Made by {markdown_code(experiment.command)}: {markdown(cost_note(section.runs))}.",
    ]


def _appendix(tables: Sequence[SectionTables]) -> list[str]:
    """The further tables of all experiments."""
    parts = [
        part
        for number, own in enumerate(tables, start=1)
        for position, appendix_table in enumerate(own.others, start=1)
        for part in (
            _anchored(_anchor(number, position), appendix_table.table.title, level=3),
            _without_title(appendix_table.table),
        )
    ]
    return [_anchored("further-tables", _APPENDIX), *parts] if parts else []


def _without_title(table: TextTable) -> str:
    return render(table, "markdown").removeprefix(f"**{markdown(table.title)}**\n\n").strip()


def _figures(figures: Sequence[Path]) -> list[str]:
    """One figure, and links to the others."""
    shown = [path for path in figures if path.stem in _SHOWN_FIGURES] or list(figures[:1])
    others = [f"[{markdown(path.stem)}]({quote(path.as_posix())})" for path in figures if path not in shown]
    return [
        *(f"![{markdown(path.stem)}]({quote(path.as_posix())})" for path in shown),
        *([f"More figures: {', '.join(others)}."] if others else []),
    ]


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(line)}" for line in lines)

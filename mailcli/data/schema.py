"""What a dataset is: its categorical fields in groups a, v, c, t, dense features, actions and labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Group = Literal["attributes", "behavior", "context", "target"]

#: Id of an empty place (a short history, a short list of genres): never embedded.
PADDING = 0
#: Id of a value that is missing, or that the training split does not have.
UNKNOWN = 1
#: The first id of a real value.
FIRST_ID = 2

#: The splits of the impressions, in the order of their codes in `impressions.split`.
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Field:
    """One categorical field. Fields with the same vocabulary share their embeddings."""

    name: str
    """Column of the table that holds it."""
    group: Group
    """attributes = a, behavior = one field of a step of v, context = c, target = t (MAIL Sec. 3.1)."""
    vocabulary: str
    """Name of the vocabulary: Alimama's ad category and behavior category are both `cate`."""
    values: int = 1
    """Most values of one row; more than 1 for a multi-valued field, such as a film's genres."""


@dataclass(frozen=True)
class Schema:
    """The roles of a dataset's columns; written into dataset.json."""

    fields: tuple[Field, ...]
    actions: tuple[str, ...]
    """Kinds of behavior; action k has id FIRST_ID + k."""
    dense: tuple[str, ...] = ()
    """Numbers of an item that are used without an embedding."""
    user: str = "user"
    """Name of the vocabulary of the raw user ids."""
    labels: tuple[str, ...] = ("click",)
    """The impressions' labels, 0 or 1: click, and conversion where the data has it (only of what was clicked)."""

    def group(self, group: Group) -> tuple[Field, ...]:
        """The fields of one group, in their order."""
        return tuple(field for field in self.fields if field.group == group)

    def vocabularies(self) -> tuple[str, ...]:
        """Names of the vocabularies, each once, in order of first use."""
        return tuple(dict.fromkeys(field.vocabulary for field in self.fields))

    def to_json(self) -> dict[str, Any]:
        """The schema as plain lists and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schema:
        """The inverse of `to_json`; raises TypeError or KeyError for what is not a schema."""
        return cls(
            fields=tuple(Field(**field) for field in data["fields"]),
            actions=tuple(data["actions"]),
            dense=tuple(data["dense"]),
            user=data["user"],
            labels=tuple(data["labels"]),
        )

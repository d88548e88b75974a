"""The schema of a dataset: categorical fields in the groups a, v, c and t, dense features, actions and labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Group = Literal["attributes", "behavior", "context", "target"]

#: Id of an empty place, in a short history or a short list of genres; it has no embedding.
PADDING = 0
#: Id of a missing value, and of values that the training split does not contain.
UNKNOWN = 1
#: The first id of a real value.
FIRST_ID = 2

#: The splits, in the order of their codes in `impressions.split`.
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Field:
    """One categorical field. Fields with the same vocabulary share their embeddings."""

    name: str
    """Its column in the group's table."""
    group: Group
    """attributes = a, behavior = one field of a step of v, context = c, target = t (MAIL Sec. 3.1)."""
    vocabulary: str
    """Name of its vocabulary: Alimama's ad category and behavior category both use `cate`."""
    values: int = 1
    """Maximum number of values per row; more than 1 for a multi-valued field, such as a film's genres."""


@dataclass(frozen=True)
class Schema:
    """The roles of a dataset's columns; saved in dataset.json."""

    fields: tuple[Field, ...]
    actions: tuple[str, ...]
    """Kinds of behavior; action k has id FIRST_ID + k."""
    dense: tuple[str, ...] = ()
    """An item's numeric features, used without an embedding."""
    user: str = "user"
    """Name of the vocabulary of raw user ids."""
    labels: tuple[str, ...] = ("click",)
    """The impressions' labels, 0 or 1: click, and conversion where the data has it (only after a click)."""

    def group(self, group: Group) -> tuple[Field, ...]:
        """The fields of one group, in order."""
        return tuple(field for field in self.fields if field.group == group)

    def vocabularies(self) -> tuple[str, ...]:
        """Names of the vocabularies, each once, in order of first use."""
        return tuple(dict.fromkeys(field.vocabulary for field in self.fields))

    def to_json(self) -> dict[str, Any]:
        """The schema as plain lists and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schema:
        """The inverse of `to_json`; TypeError or KeyError if `data` is not a schema."""
        return cls(
            fields=tuple(Field(**field) for field in data["fields"]),
            actions=tuple(data["actions"]),
            dense=tuple(data["dense"]),
            user=data["user"],
            labels=tuple(data["labels"]),
        )

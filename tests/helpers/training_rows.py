"""A few users, items and behaviors, as methods see them in `prepare`."""

from __future__ import annotations

from typing import Any

import numpy as np

from mailcli.data.schema import Field, Schema
from mailcli.models.contracts import SeenBehaviors, TrainingRows
from mailcli.models.features import Spec
from tests.helpers.features import no_teacher

#: Ids from 2 on. Users have a sex and an age; items have an id and a category, of which behaviors tell.
ATTRIBUTES = np.array([[2, 2, 2], [3, 2, 3], [4, 3, 2], [5, 3, 3], [6, 2, 2]], np.int32)
TARGET = np.array([[2, 2], [3, 3], [4, 4], [5, 2]], np.int32)
BEHAVIORS = np.array([[0, 2], [0, 2], [0, 3], [1, 3], [2, 4], [2, 2], [3, 4], [3, 4]])


def small_spec() -> Spec:
    fields = [Field(name, "attributes", name) for name in ("user", "sex", "age")]
    fields += [Field("hour", "context", "hour"), Field("item", "target", "item"), Field("cate", "target", "cate")]
    fields += [Field("cate", "behavior", "cate")]
    return Spec(
        Schema(tuple(fields), ("pv",)), {"user": 7, "sex": 4, "age": 4, "hour": 4, "item": 6, "cate": 5}, 33, 4, 2
    )


def small_rows(**changes: Any) -> TrainingRows:
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 5, 60), rng.integers(0, 4, 60)
    rows = TrainingRows(
        users=user,
        items=item,
        clicks=(rng.random(60) < 0.3).astype(np.float32),
        attributes=ATTRIBUTES,
        target=TARGET,
        behaviors=lambda: SeenBehaviors(BEHAVIORS[:, 0], BEHAVIORS[:, 1], np.array([], np.int64)),
        seed=0,
        teach=no_teacher,
    )
    return rows._replace(**changes)

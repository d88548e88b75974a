"""What to do about a run whose files are damaged, as every error on one says."""

from __future__ import annotations

TRAIN_AGAIN = "Delete the folder and run its `mail train` command again."

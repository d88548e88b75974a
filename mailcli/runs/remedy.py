"""What to do about a run that cannot be used: the ends of error messages."""

from __future__ import annotations

#: Its files are damaged.
TRAIN_AGAIN = "Delete the folder and repeat the command that made it."
#: Its dataset or code has changed since.
TRAIN_ANEW = "Train it again with --overwrite, or in another --runs folder."

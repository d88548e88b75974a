"""What to do about a run that cannot be used: the ends of error messages."""

from __future__ import annotations

#: Its files are damaged.
TRAIN_AGAIN = "Delete the folder and repeat the command that made it."
#: Its dataset or code has changed since.
TRAIN_ANEW = "Train it again with --overwrite, or in another --runs folder."
#: It has other settings, data or code than the run that is asked for; or is to be made anew.
OVERWRITE = "Add --overwrite to train it anew, or choose another --runs folder."
#: It cannot be continued.
TRAIN_ELSEWHERE = "Train the run again in another --runs folder."
#: It takes more memory than there is; without the full stop.
LESS_MEMORY = "Set a smaller batch_size, history or embedding_dim, or smaller options of the ranker or the method"

"""One file per command of `mail`: the function named as its file; what is slow to import is imported where used."""

"""One file per kind of figure, each with a class `Plot`: a new file is a new `mail plot NAME`."""

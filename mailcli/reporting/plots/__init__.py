"""One file per kind of figure, each with a class `Plot`: a new file adds a new `mail plot NAME`."""

"""One file per raw format; each turns its files into the same four tables."""

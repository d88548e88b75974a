"""Files of your own, described by a schema file."""

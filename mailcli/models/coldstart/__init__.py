"""Cold-start methods, one per file: each holds a class `ColdStart` (mailcli.models.ColdStartMethod)."""

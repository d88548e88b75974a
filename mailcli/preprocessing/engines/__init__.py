"""Where preprocessing runs: one file per engine."""

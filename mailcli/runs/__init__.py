"""A run on disk: its folder and files, and how runs are found, checked and selected."""

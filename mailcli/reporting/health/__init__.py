"""What `mail doctor` looks at: software, machine, datasets and runs, and what is broken about them."""

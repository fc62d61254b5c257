"""The `turnpike` command (`cli.py`, one `cmd_*.py` per subcommand), beside the shell scripts that start it."""

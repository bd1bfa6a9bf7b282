"""The command `bidi`: one file for a command, and `group.py` with the table of them."""

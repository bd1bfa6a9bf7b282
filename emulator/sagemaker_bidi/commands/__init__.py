"""The command `bidi`: a module for each command or family of commands."""

"""A report for the terminal, for continuous integration, for programs and for people."""

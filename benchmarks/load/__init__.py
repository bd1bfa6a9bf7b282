"""The load generator: its own process, one route and one kind of work at a time."""

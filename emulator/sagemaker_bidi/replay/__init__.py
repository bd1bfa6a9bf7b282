"""Recordings played again, as a client or as a container, and compared."""

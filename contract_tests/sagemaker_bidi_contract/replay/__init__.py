"""Recordings as checks: the target answers as it is recorded, or the difference is shown."""

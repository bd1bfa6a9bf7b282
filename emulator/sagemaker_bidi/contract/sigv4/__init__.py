"""Signature Version 4: of the request, and of each event of its body."""

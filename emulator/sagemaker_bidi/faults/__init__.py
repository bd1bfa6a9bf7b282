"""Fault plans and what carries them out."""

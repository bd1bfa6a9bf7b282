"""Endpoints, their variants and what is known of their health."""

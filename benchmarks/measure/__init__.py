"""The measurements, one file for each table."""

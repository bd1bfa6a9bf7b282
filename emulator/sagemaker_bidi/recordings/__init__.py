"""Sessions on file: recorded, read, replayed and compared."""

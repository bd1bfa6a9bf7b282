"""What a test imports, and the pytest plugins."""

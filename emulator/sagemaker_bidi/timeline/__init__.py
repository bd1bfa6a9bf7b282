"""What happened in a session, in order."""

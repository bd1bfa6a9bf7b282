"""The event-stream codec: messages and their headers (application/vnd.amazon.eventstream)."""

"""Containers that the emulator runs itself: image, Docker, logs, restarts."""

"""The local HTTP API of a running emulator."""

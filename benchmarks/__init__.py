"""What is claimed of the emulator's speed, measured side by side with its peers in one run."""

"""The emulator as processes: `bidi serve`, its workers, and what they tell the terminal."""

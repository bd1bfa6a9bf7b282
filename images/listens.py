"""The health check of the emulator's image: 0 where something in the container takes connections.

Which port that is depends on what runs: the emulator on whatever port, or the stand-in for vLLM.
"""

import re
import sys
from pathlib import Path

# State 0A is LISTEN; 0B00007F is 127.0.0.11, where Docker's own name server listens.
_LISTENING = re.compile(r"^ *\d+: (?!0B00007F:)[0-9A-F]+:[0-9A-F]{4} \S+ 0A ", re.MULTILINE)

tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
sys.exit(not any(_LISTENING.search(table.read_text()) for table in tables if table.exists()))

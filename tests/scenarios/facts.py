"""What runs of the catalogue have shown, `docs/scenarios/facts.json`: the evidence of its pages.

`python -m tests.scenarios.facts` plays every scenario on the SDK and writes what was seen.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

FACTS = Path(__file__).parents[2] / "docs" / "scenarios" / "facts.json"

type Facts = dict[str, Any]


def read_facts() -> Facts:
    """What was seen when the facts were last written."""
    facts: Facts = json.loads(FACTS.read_text("utf-8"))
    return facts


def main() -> None:
    """Play everything, then write the facts."""
    from tests.scenarios.play import play_all

    facts = asyncio.run(play_all())
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
    FACTS.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()

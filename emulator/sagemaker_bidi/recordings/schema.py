"""The JSON Schema of a recording's lines.

`python -m sagemaker_bidi.recordings.schema` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sagemaker_bidi.recordings.format import Event, Header

PATH = Path(__file__).with_name("schema.json")

PAYLOAD = (["text"], ["base64"], ["size"])


def schema() -> str:
    """The schema as JSON: a line is a header or an event."""
    document: dict[str, Any] = TypeAdapter(Header | Event).json_schema(by_alias=True)
    for line in document["$defs"].values():
        # What tells the lines apart is never left out, although the classes have defaults for it.
        for name in ("recording", "layer"):
            if name in line.get("properties", {}):
                line["required"] = [name, *line.get("required", [])]
        if "sha256" in line.get("properties", {}):
            line["oneOf"] = [{"required": names} for names in PAYLOAD]
    return (
        json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "A line of a recording: the header first, then events",
                **document,
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    PATH.write_text(schema(), "utf-8")
    print(f"written: {PATH}")

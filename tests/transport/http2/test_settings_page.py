"""docs/http2.md lists every setting with its default."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from sagemaker_bidi.transport.http2.settings import Http2Settings

PAGE = Path(__file__).parents[3] / "docs" / "http2.md"
UNITS = {"": 1, "KiB": 1024, "MiB": 1024 * 1024}


def test_the_page_lists_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) ?(KiB|MiB|) \|", PAGE.read_text("utf-8"), re.M)
    listed = {name: int(number) * UNITS[unit] for name, number, unit in rows}

    assert listed == {field.name: field.default for field in fields(Http2Settings)}

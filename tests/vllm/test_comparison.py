"""The stand-in held against the real vLLM."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagemaker_bidi_fixtures.engine.server import VLLMEngine
from sagemaker_bidi_fixtures.probes.compare import FRONT_END, STAND_IN, compare
from sagemaker_bidi_fixtures.probes.listed import PROBES
from sagemaker_bidi_fixtures.probes.table import markdown

PAGE = Path(__file__).parents[2] / "docs" / "vllm-comparison.md"
WRITE = f"python -m sagemaker_bidi_fixtures.probes.compare --write docs/{PAGE.name}"


@pytest.mark.vllm
async def test_every_difference_from_the_real_engine_is_listed_and_in_the_docs(
    engine: VLLMEngine,
) -> None:
    verdict = await compare(engine.url)
    assert not verdict.unlisted, "\\n".join(map(str, verdict.unlisted))
    assert not verdict.stale, f"these are listed and no differences any more: {verdict.stale}"
    assert PAGE.read_text() == markdown(PROBES, verdict, (FRONT_END, STAND_IN)), WRITE

"""The checkpoint that is made from nothing: what it can be made to say, and what is in it."""

from __future__ import annotations

import base64
import itertools
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_bidi_fixtures.engine.checkpoint import make_checkpoint
from sagemaker_bidi_fixtures.engine.sentence import MAX_PIECES, SENTENCE, SentenceError, say

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), min_size=1, max_size=60
).filter(str.strip)


def words(count: int) -> str:
    """So many words, all different, a token each."""
    letters = itertools.product("abcd", repeat=5)
    return " ".join("".join(word) for word in itertools.islice(letters, count))


@given(TEXTS)
def test_the_tokens_of_a_sentence_are_all_of_it_and_each_comes_once(sentence: str) -> None:
    said = say(sentence)
    pieces = [piece for piece in said.pieces if piece is not None]
    assert b"".join(pieces).decode() == said.text == f" {sentence.strip()}"
    assert len(set(pieces)) == len(pieces)
    assert "".join(said.printed) == said.text


def test_the_bytes_of_a_character_are_tokens_of_their_own() -> None:
    said = say("5€")
    assert said.pieces == (None, b" 5", b"\xe2", b"\x82", b"\xac", None)
    assert said.printed == ("", " 5", "", "", "€", "")


def test_a_word_that_comes_again_is_joined_with_the_next() -> None:
    assert say("ha ha ha").pieces == (None, b" ha", b" ha ha", None)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("  \n", "the sentence is empty"),
        ("half \ufffd", "U+FFFD"),
        ("lone \ud800", "a lone surrogate at character 5"),
        (words(MAX_PIECES + 1), f"takes 251 tokens, and the tiny model says at most {MAX_PIECES}"),
    ],
)
def test_a_sentence_that_it_cannot_say_is_refused_with_the_reason(
    sentence: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SentenceError, match=message.replace("+", r"\+")):
        make_checkpoint(tmp_path / "checkpoint", sentence)
    assert not (tmp_path / "checkpoint").exists()


def test_the_longest_sentence_makes_a_checkpoint(tmp_path: Path) -> None:
    made = make_checkpoint(tmp_path, words(MAX_PIECES))
    assert len(made.said.pieces) == MAX_PIECES + 2
    assert json.loads((tmp_path / "params.json").read_text())["dim"] == 256


def test_the_weights_are_a_safetensors_file_of_a_megabyte(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    data = (tmp_path / "consolidated.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    table = json.loads(data[8 : 8 + length])
    ends = sorted(entry["data_offsets"] for entry in table.values())
    assert [start for start, _ in ends] == [0, *(end for _, end in ends[:-1])]
    assert 8 + length + ends[-1][1] == len(data) < 2_000_000
    for entry in table.values():
        start, end = entry["data_offsets"]
        assert end - start == 4 * np.prod(entry["shape"])


def test_each_state_of_the_weights_says_the_next_token(tmp_path: Path) -> None:
    """The chain of the embeddings and the output is walked as the engine walks it."""
    made = make_checkpoint(tmp_path)
    data = (tmp_path / "consolidated.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    table = json.loads(data[8 : 8 + length])

    def tensor(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        start, end = table[name]["data_offsets"]
        values = np.frombuffer(data[8 + length + start : 8 + length + end], "<f4")
        return values.reshape(table[name]["shape"])

    embeddings = tensor("mm_streams_embeddings.embedding_module.tok_embeddings.weight")
    output = tensor("output.weight")
    vocabulary = json.loads((tmp_path / "tekken.json").read_text())["vocab"]
    token = 0
    said: list[bytes | None] = []
    for _ in made.said.pieces:
        token = int(np.argmax(output @ embeddings[token]))
        said.append(
            base64.b64decode(vocabulary[token - 64]["token_bytes"]) if token >= 64 else None
        )
    assert tuple(said) == made.said.pieces
    after = int(np.argmax(output @ embeddings[token]))
    assert after == 32, "after the last token comes [STREAMING_PAD]"
    quiet = np.zeros(output.shape[1], np.float32)
    quiet[-1] = 32
    assert all(np.argmax(output @ (row + quiet)) == 32 for row in embeddings)


def test_the_command_line_makes_one_and_says_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sagemaker_bidi_fixtures.engine import checkpoint

    monkeypatch.setattr(sys, "argv", ["checkpoint", str(tmp_path / "one")])
    checkpoint.main()
    assert SENTENCE in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        "params.json",
        "tekken.json",
        "consolidated.safetensors",
    }
    monkeypatch.setattr(sys, "argv", ["checkpoint", str(tmp_path / "two"), "--sentence", " "])
    with pytest.raises(SystemExit, match="error: the sentence is empty"):
        checkpoint.main()

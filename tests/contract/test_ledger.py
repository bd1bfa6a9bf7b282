"""The ledger: complete, in step with the settings and with its page."""

import dataclasses
from pathlib import Path

import pytest

from sagemaker_bidi.config import Config
from sagemaker_bidi.contract.ledger import (
    PROVENANCES,
    LedgerError,
    ledger,
    main,
    parse,
    to_markdown,
)
from sagemaker_bidi.contract.settings import ContractSettings, choices
from sagemaker_bidi.transport.http2.settings import Http2Settings

ROOT = Path(__file__).parents[2]
GROUPS = {"W": 6, "O": 10, "F": 7, "K": 5, "E": 8, "M": 3, "P": 1}

TABLES = {
    "contract": {field.name for field in dataclasses.fields(ContractSettings)},
    "http2": {field.name for field in dataclasses.fields(Http2Settings)},
}


def entry(**fields: str) -> str:
    given = {
        "title": '"A"',
        "statement": '"B"',
        "source": '"C"',
        "provenance": '"documented"',
        **fields,
    }
    lines = "\n".join(f"{name} = {value}" for name, value in given.items())
    return f'[groups]\nF = "Frames"\n[clauses.F1]\n{lines}\n'


def test_every_clause_of_the_contract_is_there_in_order() -> None:
    expected = [f"{group}{n}" for group, count in GROUPS.items() for n in range(1, count + 1)]
    assert list(ledger().ids) == expected


@pytest.mark.parametrize("clause_id", ledger().ids)
def test_every_setting_of_a_clause_exists(clause_id: str) -> None:
    for setting in ledger().clause(clause_id).settings:
        table, _, name = setting.rpartition(".")
        assert name in (TABLES[table] if table else set(Config.model_fields)), setting


def test_every_choice_of_the_contracts_settings_is_listed_with_its_clause() -> None:
    unlisted = [
        f"contract.{name} belongs into settings of {choice.clause}"
        for name, _, choice in choices(ContractSettings())
        if f"contract.{name}" not in ledger().clause(choice.clause).settings
    ]
    assert not unlisted


def test_an_id_is_in_the_ledger_or_not() -> None:
    assert "F3" in ledger()
    assert "F9" not in ledger()


def test_provenance_is_one_of_the_four_words() -> None:
    assert {clause.provenance for clause in ledger()} == set(PROVENANCES)


def test_an_unknown_id_is_answered_with_those_of_its_group() -> None:
    with pytest.raises(LedgerError, match="'F9'; there are F1, F2, F3, F4, F5, F6, F7"):
        ledger().clause("F9")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (entry(statement='""'), "F1: statement is missing or empty"),
        (entry(provenance='"rumoured"'), "F1: .* provenance is one of documented"),
        (entry(provenance='"assumed"'), "F1: it is assumed, so it needs a setting"),
        (entry(colour='"red"'), "F1: colour is no field"),
        (entry(tested="false"), "tested = false and a why go together"),
        (entry(settings='"contract.x"'), "settings is a list of texts"),
        (entry(numbers="8"), "numbers is a table of numbers, texts, or lists of them"),
        (entry(numbers="{ port = [{}] }"), "numbers is a table of numbers, texts, or lists of"),
        (entry().replace('F = "Frames"', 'E = "Ending"'), "its letter is no group; there are E"),
        ("[", "no valid TOML"),
    ],
)
def test_a_ledger_with_a_mistake_is_refused_by_clause_and_field(text: str, says: str) -> None:
    with pytest.raises(LedgerError, match=says):
        parse(text)


def test_the_page_in_docs_is_what_the_ledger_makes() -> None:
    assert (ROOT / "docs" / "contract.md").read_text("utf-8") == to_markdown(ledger()), (
        "run: python -m sagemaker_bidi.contract.ledger --write docs/contract.md"
    )


def test_the_page_shows_every_clause_with_its_provenance_and_settings() -> None:
    page = to_markdown(ledger())
    for clause in ledger():
        section = page.split(f"### {clause.id} ")[1].split("\n#")[0]
        assert clause.statement in section
        assert f"**{clause.provenance}**" in section
        assert all(f"`{name}`" in section for name in (*clause.settings, *clause.numbers))


def test_a_stale_page_fails_the_check_and_shows_the_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "contract.md"
    assert main(["--write", str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    page.write_text(page.read_text("utf-8").replace("### F3 Fragments", "### F3 Pieces"), "utf-8")
    assert main(["--check", str(page)]) == 1
    shown = capsys.readouterr()
    assert "-### F3 Pieces\n+### F3 Fragments\n" in shown.out
    assert "is stale; run: python -m sagemaker_bidi.contract.ledger --write" in shown.err

"""Each number, status and fixed word of the ledger is the one that the code works with.

The ledger is the one table of them (`[clauses.ID.numbers]`). A number that is a setting's default
is compared with that default; of each other one `CORE` says where the code has it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sagemaker_bidi.config import DEFAULT_PORT
from sagemaker_bidi.containers.hosted import STOP_SECONDS
from sagemaker_bidi.contract import endings, frames, metadata, opening, terminations
from sagemaker_bidi.contract.errors import (
    Refusal,
    Refused,
    authentication_refusal,
    input_validation_error,
    internal_server_error,
    model_error,
    no_such_endpoint,
    no_such_variant,
    service_unavailable,
    unknown_operation,
    unsupported_media_type,
)
from sagemaker_bidi.contract.eventstream.messages import HeaderValue, Message
from sagemaker_bidi.contract.health import Health, PingAnswer
from sagemaker_bidi.contract.keepalive import Keepalive
from sagemaker_bidi.contract.ledger import Number, ledger
from sagemaker_bidi.contract.settings import ContractSettings, choices
from sagemaker_bidi.contract.sigv4.chunks import ChunkChain
from sagemaker_bidi.contract.sigv4.request import verify_request
from sagemaker_bidi.scenarios import scenario

DEFAULTS = ContractSettings()
NUMBERS = [(clause.id, name) for clause in ledger() for name in clause.numbers]
STREAM = ("content-type", opening.EVENT_STREAM)


def body(refusal: Refusal, name: str) -> Any:
    return json.loads(refusal.body())[name]


def longest(take: Callable[[str], object], head: str = "") -> int:
    """The longest value that is taken; one character more is refused."""
    for length in range(1, 4096):
        try:
            take(head.ljust(length, "x"))
        except Refused:
            if length > len(head):
                return length - 1
    raise AssertionError("any length is taken")


def header(name: str, head: str = "") -> Callable[[], int]:
    return lambda: longest(lambda v: opening.read_invocation("e", [STREAM, (name, v)]), head)


def clean_codes() -> list[int]:
    policy = DEFAULTS.close_policy
    return [code for code in range(1000, 1016) if code != 1006 and policy.error(code, "") is None]


def members(name: str, allowed: list[str]) -> list[str]:
    """The values that a part may have, out of those allowed and some others."""
    taken = []
    for value in (*allowed, "utf8", "TEXT", "DONE", ""):
        event: dict[str, HeaderValue] = {
            ":message-type": "event",
            ":event-type": "PayloadPart",
            name: value,
        }
        try:
            frames.part_from_message(Message(event))
        except frames.InvalidPart:
            continue
        taken.append(value)
    return taken


def ping_statuses() -> list[int]:
    health = Health(0.0)
    return [status for status in range(100, 600) if health.passes(PingAnswer(status, ""))]


def pinned(clause_id: str, name: str) -> Number:
    return ledger().clause(clause_id).numbers[name]


CORE: Mapping[str, Callable[[], object]] = {
    "W1.port": lambda: DEFAULT_PORT,
    "W1.unknown_operation": lambda: unknown_operation("GET", "/").status,
    "W1.other_content_type": lambda: unsupported_media_type("text/plain").status,
    "W2.endpoint_name": lambda: longest(lambda v: opening.read_invocation(v, [STREAM])),
    "W2.target_variant": header(opening.TARGET_VARIANT),
    "W2.invocation_path": header(opening.INVOCATION_PATH),
    "W2.query_string": header(opening.QUERY_STRING, "a="),
    "W2.status": lambda: input_validation_error("").status,
    "W2.error_code": lambda: body(input_validation_error(""), "ErrorCode"),
    "W3.data_type": lambda: members("DataType", ["UTF8", "BINARY"]),
    "W3.completion_state": lambda: members("CompletionState", ["PARTIAL", "COMPLETE"]),
    "O2.path": lambda: opening.read_invocation("e", [STREAM]).container_path,
    "O4.status": lambda: model_error("primary", "").status,
    "O4.original_status_code": lambda: body(model_error("primary", ""), "OriginalStatusCode"),
    "O4.error_code": lambda: body(model_error("primary", ""), "ErrorCode"),
    "O5.throttled": lambda: scenario("throttled").tables["rules"][0]["status"],
    "O5.no_such_endpoint": lambda: no_such_endpoint("e", "1", "").status,
    "O6.status": lambda: authentication_refusal("InvalidSignatureException", "", "").status,
    "O6.unreadable_authorization": lambda: (
        authentication_refusal("IncompleteSignatureException", "", "").status
    ),
    "O7.InputValidationError": lambda: input_validation_error("").status,
    "O7.ModelError": lambda: model_error("primary", "").status,
    "O7.InternalServerError": lambda: internal_server_error("").status,
    "O7.ServiceUnavailableError": lambda: service_unavailable("", "").status,
    "O8.no_such_variant": lambda: no_such_variant("e", "v").status,
    "K1.close_code": lambda: terminations.missed_pongs(DEFAULTS, 5, output_unread=False).close.code,
    "K2.close_code": lambda: terminations.expired(DEFAULTS).close.code,
    "K4.ping_status": lambda: ping_statuses()[0] if len(ping_statuses()) == 1 else None,
    "K4.stop_seconds": lambda: STOP_SECONDS,
    "E1.abnormal": lambda: endings.ABNORMAL,
    "E1.no_status": lambda: endings.NO_STATUS,
    "E2.clean_codes": clean_codes,
    "E5.codes": lambda: [DEFAULTS.lifetime_error.code, DEFAULTS.missed_pongs_error.code],
    "E6.code": lambda: DEFAULTS.connection_lost_error.code,
    "M1.path": lambda: metadata.DEFAULT_PATH,
    "M2.dimension": lambda: metadata.DIMENSION_LENGTH,
    "M2.client_token": lambda: metadata.TOKEN_LENGTH,
    "M2.frame_bytes": lambda: metadata.FRAME_BYTES,
    "M2.message_seconds": lambda: metadata.MESSAGE_SECONDS,
    "M3.status": lambda: model_error("primary", "").status,
    "M3.close_code": lambda: terminations.metadata_lost(DEFAULTS, 1006).close.code,
}
# Held over the wire, where the number is: see the test that reads it.
ELSEWHERE = {"W5.status", "O2.websocket_version"}


@pytest.mark.parametrize(
    ("clause_id", "name"),
    [
        pytest.param(clause_id, name, marks=pytest.mark.clause(clause_id))
        for clause_id, name in NUMBERS
        if f"{clause_id}.{name}" not in ELSEWHERE
    ],
)
def test_the_code_works_with_the_ledgers_number(clause_id: str, name: str) -> None:
    if name.startswith("contract."):
        found: object = getattr(DEFAULTS, name.removeprefix("contract."))
    else:
        found = CORE[f"{clause_id}.{name}"]()
    assert found == pinned(clause_id, name)


def test_no_number_is_held_that_the_ledger_has_not() -> None:
    assert {*CORE, *ELSEWHERE} <= {f"{clause_id}.{name}" for clause_id, name in NUMBERS}


def test_every_number_among_the_settings_stands_in_its_clause() -> None:
    missing = [
        f"contract.{name} belongs into the numbers of {choice.clause}"
        for name, value, choice in choices(DEFAULTS)
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and f"contract.{name}" not in ledger().clause(choice.clause).numbers
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("made", "argument", "setting"),
    [
        (Keepalive, "interval", "ping_interval"),
        (Keepalive, "limit", "missed_pongs"),
        (Keepalive, "last_wait", "last_pong_wait"),
        (Health, "startup", "startup_seconds"),
        (Health, "interval", "health_interval"),
        (Health, "failures", "health_failures"),
        (metadata.Metering, "slack", "metering_slack"),
        (verify_request, "max_skew", "max_skew"),
        (ChunkChain, "max_skew", "max_skew"),
    ],
)
def test_a_rule_by_itself_has_the_settings_default(
    made: Callable[..., object], argument: str, setting: str
) -> None:
    default = inspect.signature(made).parameters[argument].default
    assert default == getattr(DEFAULTS, setting)

"""The Authorization header of SigV4: its grammar, and what is said about a broken one (W4, O6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

ALGORITHM = "AWS4-HMAC-SHA256"

_PARAMETERS = ("Credential", "Signature", "SignedHeaders")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class SignatureError(Exception):
    """A request or chunk whose signature, key, token or permission does not hold (O6).

    Args:
        type: the error's name, such as `InvalidSignatureException`.
        message: what the client is told, in AWS's words.
        detail: what the developer's log says on top; it holds no signature, token or secret.
        clause: the rule that this follows.
    """

    def __init__(self, type: str, message: str, detail: str, *, clause: str = "O6") -> None:
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message
        self.detail = detail
        self.clause = clause


@dataclass(frozen=True, slots=True)
class Authorization:
    """The Authorization header, taken apart (W4).

    Args:
        access_key_id: first element of the credential.
        date: of the credential scope, as given.
        region: of the credential scope.
        service: of the credential scope.
        terminator: of the credential scope, `aws4_request` when it is right.
        signed_headers: the names as listed.
        signature: 64 lower-case hexadecimal digits.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)


def parse_authorization(value: str | None) -> Authorization:
    """Take the Authorization header apart.

    Nothing of a broken header is repeated in an error: it may hold a secret in the wrong place.

    Args:
        value: the header; None when the request has none.

    Raises:
        SignatureError: MissingAuthenticationTokenException when there is none, else
            IncompleteSignatureException.
    """
    if not value:
        raise SignatureError(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
            "the request has no Authorization header; sign it with SigV4",
        )
    algorithm, _, rest = value.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(
            " ".join(f"Authorization header requires '{name}' parameter." for name in _PARAMETERS),
            f"the Authorization header does not start with {ALGORITHM!r}",
        )
    parameters = _parameters(rest)
    missing = [name for name in _PARAMETERS if not parameters.get(name)]
    if missing:
        raise _incomplete(
            " ".join(f"Authorization header requires '{name}' parameter." for name in missing),
            f"received {', '.join(parameters) or 'no parameter'}",
        )
    credential = parameters["Credential"].split("/")
    if len(credential) != 5:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got {len(credential)}",
            "a slash in the access key id often means that it was swapped with the secret",
        )
    if not _SIGNATURE.fullmatch(parameters["Signature"]):
        raise _incomplete(
            "Authorization header requires 'Signature' parameter.",
            f"the Signature has {len(parameters['Signature'])} characters, "
            "expected 64 lower-case hexadecimal digits",
        )
    access_key_id, date, region, service, terminator = credential
    if not access_key_id:
        raise _incomplete(
            "Authorization header requires 'Credential' parameter.",
            "the access key id before the credential scope is empty",
        )
    return Authorization(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        terminator=terminator,
        signed_headers=tuple(parameters["SignedHeaders"].split(";")),
        signature=parameters["Signature"],
    )


def _parameters(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for ordinal, part in enumerate(text.split(","), start=1):
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise _incomplete(
                f"Parameter {ordinal} is not a valid key=value pair (missing equal-sign) "
                "in Authorization header.",
                f"expected {ALGORITHM} Credential=…, SignedHeaders=…, Signature=…",
            )
        if name in parameters:
            raise _incomplete(
                f"Parameter {ordinal} repeats an earlier one in Authorization header.",
                f"expected each of {', '.join(_PARAMETERS)} once",
            )
        parameters[name] = value
    return parameters


def _incomplete(message: str, detail: str) -> SignatureError:
    return SignatureError("IncompleteSignatureException", message, detail)

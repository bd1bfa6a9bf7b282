"""The emulator's configuration: what `bidi serve` takes, from options and a TOML file."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from sagemaker_bidi.contract.settings import ContractSettings
from sagemaker_bidi.contract.sigv4.credentials import Credentials
from sagemaker_bidi.endpoints.addresses import Address, Name, without_user
from sagemaker_bidi.endpoints.endpoints import DEFAULT_VARIANT, Endpoint, Variant
from sagemaker_bidi.recordings.format import Header, Origin
from sagemaker_bidi.transport.http2.settings import Http2Settings

DEFAULT_PORT = 8443
# AWS's own documentation uses this pair; it opens nothing anywhere.
TEST_KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

# Values that no message repeats.
_SECRETS = ("secret_access_key", "session_token")
# Tables that options add to, and do not replace.
_ADDED = ("endpoints", "record")


class ConfigError(ValueError):
    """A configuration that cannot be used; says where and what is expected."""


def _filled(otherwise: str) -> AfterValidator:
    """Refuses what is empty, as a variable that is not set leaves it."""

    def check(value: str) -> str:
        if not value.strip():
            raise ValueError(f"is empty; {otherwise}")
        return value

    return AfterValidator(check)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


# Sockets would take an empty host for every interface.
Host = Annotated[
    str, _filled("write 127.0.0.1 for this machine alone, or 0.0.0.0 for every interface")
]
Region = Annotated[str, _filled("name one, such as us-east-1, or leave it out to take any")]


def _signs(credentials: Credentials) -> Credentials:
    """Refuses a key pair with which nobody can sign."""
    for field in ("access_key_id", "secret_access_key", "session_token"):
        value = getattr(credentials, field)
        if value is not None and not value.strip():
            raise ValueError(f"{field} is empty; no client signs with that")
    return credentials


class _Settings(_Table):
    """The tables whose fields other rooms define; what is forbidden above is so in them too."""

    contract: ContractSettings = ContractSettings()
    http2: Http2Settings = Http2Settings()


class EndpointConfig(_Table):
    """`[endpoints.NAME]`: either `url`, or `variants`."""

    url: Address | None = None
    variants: tuple[Variant, ...] = ()

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint that this table describes."""
        where = f"endpoints.{name}"
        if (self.url is None) == (not self.variants):
            raise ConfigError(f"{where}: give either url or variants")
        if self.url is not None:
            return Endpoint(name, (Variant(DEFAULT_VARIANT, self.url),))
        try:
            return Endpoint(name, self.variants)
        except ValueError as error:
            raise ConfigError(f"{where}.variants: {error}") from error


class RecordConfig(_Table):
    """`[record]`: write each session to a file.

    Args:
        directory: where the files go; made where it is missing.
        redact: leave payloads out, and keep their sizes and types.
        keep_days: how long recordings stay; for ever unless given.
        provenance: what stands behind the endpoints; SageMaker itself is known by its name.
        container, vllm, hardware: what is known of it, for the files' headers.
    """

    directory: Path
    redact: bool = False
    keep_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    provenance: Origin = "unknown"
    container: str = ""
    vllm: str = ""
    hardware: str = ""

    def header(self) -> Header:
        """What all recordings' headers have in common."""
        return Header(
            provenance=self.provenance,
            container=self.container,
            vllm=self.vllm,
            hardware=self.hardware,
        )


class Config(_Table):
    """Everything that `bidi serve` can be told.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        region: the region that signatures must name; any where it is not given.
        time_scale: emulated seconds for one real second.
        unknown_keys: whether requests signed with an unknown key are taken.
        health: `lenient` takes a container whose `/ping` answers below 500, `strict` only one that
            answers 200, as SageMaker does (K4); `off` never asks.
        ping: `real` asks the containers; `503` and `slow` go on as if all of them answered so, the
            latter once they are in service.
        grace: seconds that open sessions have after SIGTERM.
        names: host names for the certificate, beside the local ones and SageMaker's.
        entrance: `open`, or a way in that fails: `untrusted` shows a certificate of an authority
            that nobody knows, `http1` negotiates HTTP/1.1, `mute` takes connections and never says
            a word (W6).
        endpoints: by name.
        credentials: known key pairs, beside the test pair.
        scenarios: names of the catalogue, or plan files, that `bidi serve` puts into force.
        record: where sessions are recorded; nowhere unless given.
        contract: numbers and choices of the contract, see `ContractSettings`.
        http2: limits of the HTTP/2 layer, see `Http2Settings`.
    """

    host: Host = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    region: Region | None = None
    time_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    unknown_keys: Literal["accept", "refuse"] = "accept"
    health: Literal["strict", "lenient", "off"] = "lenient"
    ping: Literal["real", "503", "slow"] = "real"
    grace: float = Field(default=30.0, ge=0)
    names: tuple[str, ...] = ()
    entrance: Literal["open", "untrusted", "http1", "mute"] = "open"
    endpoints: Mapping[Name, EndpointConfig] = Field(default_factory=dict)
    credentials: tuple[Annotated[Credentials, AfterValidator(_signs)], ...] = ()
    record: RecordConfig | None = None
    scenarios: tuple[str, ...] = ()
    contract: Mapping[str, Any] = Field(default_factory=dict)
    http2: Mapping[str, Any] = Field(default_factory=dict)

    def contract_settings(self) -> ContractSettings:
        """The `[contract]` table over the defaults."""
        return _settings(contract=self.contract).contract

    def http2_settings(self) -> Http2Settings:
        """The `[http2]` table over the defaults."""
        return _settings(http2=self.http2).http2

    def keys(self) -> dict[str, Credentials]:
        """The known credentials by access key id, the test pair included.

        Raises:
            ConfigError: two tables have the same access key id.
        """
        counted = Counter(table.access_key_id for table in self.credentials)
        if twice := [key for key, count in counted.items() if count > 1]:
            raise ConfigError(
                f"credentials: two have the access key id {twice[0]}; each has its own"
            )
        known = [TEST_KEY, *self.credentials]
        return {credentials.access_key_id: credentials for credentials in known}

    def over(self, changes: Mapping[str, Any]) -> Config:
        """This configuration with changes on top: tables are joined, all else is replaced.

        Raises:
            ConfigError: a value does not fit.
        """
        return load_config(overrides=merged(self.model_dump(exclude_defaults=True), changes))

    def endpoint_list(self) -> list[Endpoint]:
        """The endpoints of the configuration."""
        return [table.endpoint(name) for name, table in self.endpoints.items()]


def _settings(**tables: Mapping[str, Any]) -> _Settings:
    try:
        return _Settings.model_validate(tables)
    except ValidationError as error:
        raise ConfigError("\n".join(map(_explain, error.errors()))) from error


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with another one over it: tables are joined, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)
        result[key] = value
    return result


def endpoint_tables(urls: Mapping[str, str]) -> dict[str, Any]:
    """The table `endpoints` for containers by endpoint, each in the place of what is there."""
    return {name: {"url": url, "variants": ()} for name, url in urls.items()}


def load_config(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file and put the command line's options over it.

    Args:
        path: a TOML file, or None for the defaults.
        overrides: top-level values that win; what is in `endpoints` and `record` is added to the
            file's tables.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or holds a value that does not fit; the
            message names file, key, value and what is expected.
    """
    options = dict(overrides or {})
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is no valid TOML: {error}") from error
    values = {**table, **options}
    for name in _ADDED:
        if name in table and name in options:
            given = table[name]
            values[name] = {**given, **options[name]} if isinstance(given, dict) else given
    try:
        config = Config.model_validate(values)
        config.contract_settings()
        config.http2_settings()
        config.endpoint_list()
        config.keys()
    except ValidationError as error:
        raise ConfigError(
            "\n".join(
                f"{_source(found['loc'], path, options)}: {_explain(found)}"
                for found in error.errors()
            )
        ) from error
    except ConfigError as error:
        where = "options" if path is None else path
        raise ConfigError(
            "\n".join(f"{where}: {line}" for line in str(error).splitlines())
        ) from error
    return config


def _source(loc: tuple[int | str, ...], path: Path | None, options: Mapping[str, Any]) -> str:
    name = str(loc[0])
    given = name in options
    if name in _ADDED and given:
        given = len(loc) > 1 and loc[1] in options[name]
    return "options" if path is None or given else str(path)


def _explain(error: ErrorDetails) -> str:
    loc = [str(step) for step in error["loc"] if step != "[key]"]
    message = error["msg"].removeprefix("Value error, ")
    received = cast(object, error["input"])
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        kind = {"contract": ContractSettings, "http2": Http2Settings}.get(loc[0])
        known = sorted(item.name for item in fields(kind)) if kind and len(loc) == 2 else []
        message = f"no such setting{'; there are ' if known else ''}{', '.join(known)}"
    elif isinstance(received, str | int | float) and loc[-1] not in _SECRETS:
        shown = without_user(received) if isinstance(received, str) else received
        message = f"{message} (received {shown!r})"
    return f"{'.'.join(loc)}: {message}"

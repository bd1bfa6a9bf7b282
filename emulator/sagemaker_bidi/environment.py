"""The environment that makes an AWS SDK use an emulator: what it sets, and what it clears."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from sagemaker_bidi.config import TEST_KEY

DEFAULT_REGION = "us-east-1"
# What an SDK would use beside or in place of what is set. AWS_ENDPOINT_URL is not among them: the
# service's own variable wins over it, and other services may well be somewhere else.
OVERRIDING = (
    # Any of these beside the test key: a token of somebody's, or a profile that has to exist.
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    # Other sources of credentials, which some SDKs ask first.
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    # The endpoint URL would be left out, or refused together with these.
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)


@dataclass(frozen=True, slots=True)
class Environment:
    """Environment variables that make an AWS SDK use an emulator.

        with emulator.environment():
            ...  # this process, until the block ends

        subprocess.run(command, env=emulator.environment().over(os.environ))

    Args:
        variables: what is set.
        cleared: what must not be set beside it, since it would win.
    """

    variables: Mapping[str, str]
    cleared: tuple[str, ...] = OVERRIDING
    _before: list[dict[str, str | None]] = field(default_factory=list, repr=False, compare=False)

    def over(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a process: another one with this put over it.

        Args:
            environ: the other one, such as `os.environ`; it stays as it is.
        """
        whole = dict(environ)
        self.apply(whole)
        return whole

    def apply(self, environ: MutableMapping[str, str]) -> None:
        """Set and clear the variables in an environment.

        Args:
            environ: to be changed.
        """
        for name in self.cleared:
            environ.pop(name, None)
        environ.update(self.variables)

    def __enter__(self) -> Mapping[str, str]:
        names = (*self.cleared, *self.variables)
        self._before.append({name: os.environ.get(name) for name in names})
        self.apply(os.environ)
        return self.variables

    def __exit__(self, *exc: object) -> None:
        for name, value in self._before.pop().items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def client_environment(url: str, ca: Path, bundle: Path, region: str | None) -> Environment:
    """The environment that makes an AWS SDK use an emulator.

    Args:
        url: the emulator's endpoint URL.
        ca: its CA's certificate alone; Node adds it to its own.
        bundle: the system's roots and the CA, for those who take one file in place of the system's.
        region: the emulator's region, `us-east-1` where it takes any.
    """
    region = region or DEFAULT_REGION
    return Environment(
        {
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2": url,
            "SSL_CERT_FILE": str(bundle),
            # What boto3, the AWS CLI and Go's SDK take in place of SSL_CERT_FILE.
            "AWS_CA_BUNDLE": str(bundle),
            "NODE_EXTRA_CA_CERTS": str(ca),
            "AWS_ACCESS_KEY_ID": TEST_KEY.access_key_id,
            "AWS_SECRET_ACCESS_KEY": TEST_KEY.secret_access_key,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }
    )

"""Endpoints, their variants and the containers behind them (O8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from sagemaker_bidi.contract.errors import Refused, no_such_endpoint
from sagemaker_bidi.contract.traffic import Traffic
from sagemaker_bidi.endpoints.addresses import Address, Name, container_url

ACCOUNT = "123456789012"
DEFAULT_VARIANT = "AllTraffic"


@dataclass(frozen=True, slots=True)
class Variant:
    """A production variant, `[[endpoints.NAME.variants]]`: a container and its share of traffic.

    Args:
        name: as clients name it in TargetVariant.
        url: `ws://HOST:PORT` of the container, or `https://HOST:PORT/NAME` of an endpoint of
            SageMaker's that stands in for one.
        weight: share of the traffic, relative to the other variants'.
        container: the container's name in error messages; SageMaker's default is `primary` (O4).
    """

    name: Name
    url: Address
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    container: str = "primary"

    @property
    def upstream(self) -> bool:
        """Whether an endpoint of SageMaker's stands behind it in place of a container."""
        return self.url.startswith("https:")


@dataclass(slots=True)
class Endpoint:
    """An endpoint and its variants.

    Raises:
        ValueError: no variant can be chosen, or two share a name (O8).
    """

    name: str
    variants: tuple[Variant, ...]
    _traffic: Traffic = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shares = [(variant.name, variant.weight) for variant in self.variants]
        self._traffic = Traffic(self.name, shares)

    def choose(self, target: str | None) -> Variant:
        """The variant for an invocation.

        Raises:
            Refused: `target` names none of the variants (O8).
        """
        name = self._traffic.choose(target)
        return next(variant for variant in self.variants if variant.name == name)


class Endpoints:
    """All endpoints of the emulator, by name."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints.values())

    def find(self, name: str) -> Endpoint:
        """The endpoint of that name.

        Raises:
            Refused: there is none (O5).
        """
        if name in self._endpoints:
            return self._endpoints[name]
        known = ", ".join(sorted(self._endpoints)) or "none"
        raise Refused(
            no_such_endpoint(name, ACCOUNT, f"no endpoint is named {name!r}; configured: {known}")
        )


def endpoints_from_urls(urls: Mapping[str, str]) -> list[Endpoint]:
    """One endpoint with a single variant for each name and container address."""
    return [
        Endpoint(name, (Variant(DEFAULT_VARIANT, container_url(url)),))
        for name, url in urls.items()
    ]

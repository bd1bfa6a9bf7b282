"""How an endpoint's traffic is shared among its variants (O8)."""

from __future__ import annotations

from collections.abc import Sequence

from sagemaker_bidi.contract.errors import Refused, no_such_variant


class Traffic:
    """Chooses the variant for each invocation, by name or by weight (O8).

    Shares are exact, not drawn by chance: of ten invocations a variant with a tenth of the weight
    gets one (smooth weighted round robin).

    Args:
        endpoint: its name, for refusals.
        variants: each one's name and its weight, relative to the others'.

    Raises:
        ValueError: two share a name, or none has a weight.
    """

    def __init__(self, endpoint: str, variants: Sequence[tuple[str, float]]) -> None:
        self._endpoint = endpoint
        self._weights = dict(variants)
        if len(self._weights) != len(variants):
            names = ", ".join(name for name, _ in variants)
            raise ValueError(f"two variants share a name: {names}")
        if not any(self._weights.values()):
            raise ValueError("every weight is 0, so no variant can be chosen")
        self._credit = dict.fromkeys(self._weights, 0.0)

    def choose(self, target: str | None) -> str:
        """The variant for an invocation.

        Args:
            target: as the client names it; None leaves it to the weights.

        Raises:
            Refused: `target` names none of the variants.
        """
        if target is not None:
            if target not in self._weights:
                raise Refused(no_such_variant(self._endpoint, target))
            return target
        for name, weight in self._weights.items():
            self._credit[name] += weight
        chosen = max(self._credit, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights.values())
        return chosen

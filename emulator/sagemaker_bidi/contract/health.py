"""A container's health as SageMaker judges it, driven by answers and `now` (K4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from sagemaker_bidi.contract.errors import Refusal, model_error, no_such_endpoint

type Strictness = Literal["strict", "lenient", "off"]


class Status(StrEnum):
    """What an endpoint's container is; the first three are `EndpointStatus` of the AWS API."""

    CREATING = "Creating"
    IN_SERVICE = "InService"
    FAILED = "Failed"
    UNHEALTHY = "Unhealthy"


@dataclass(frozen=True, slots=True)
class PingAnswer:
    """What `GET /ping` gave.

    Args:
        status: of the HTTP response; None where there was none in time.
        what: the same in words, for the developer.
    """

    status: int | None
    what: str


class Health:
    """Creating, InService, Failed or Unhealthy, from one answer to the next (K4).

    Args:
        now: when the container was started, seconds of the emulator's clock.
        startup: seconds until a container that has not passed fails its endpoint.
        interval: seconds between checks once it is in service.
        startup_interval: seconds between checks before that.
        failures: consecutive failed checks that make a container in service unhealthy.
        strictness: `strict` wants 200, as SageMaker does. `lenient` also takes an answer below
            500, which a server without a `/ping` gives, and leaves the warning to the caller.
    """

    def __init__(
        self,
        now: float,
        *,
        startup: float = 480.0,
        interval: float = 5.0,
        startup_interval: float = 0.5,
        failures: int = 3,
        strictness: Literal["strict", "lenient"] = "strict",
    ) -> None:
        self.status = Status.CREATING
        self.latest: PingAnswer | None = None
        self._fails_at = now + startup
        self._interval = interval
        self._startup_interval = startup_interval
        self._limit = failures
        self._failed = 0
        self._strict = strictness == "strict"
        self._next = now

    def deadline(self) -> float | None:
        """When the next check is due; None once the endpoint has failed."""
        return None if self.status is Status.FAILED else self._next

    def passes(self, answer: PingAnswer) -> bool:
        """Whether an answer counts as healthy."""
        if answer.status is None:
            return False
        return answer.status == 200 if self._strict else answer.status < 500

    def passes_only_here(self, answer: PingAnswer) -> bool:
        """Whether an answer passes that would never bring a container into service at SageMaker."""
        return self.passes(answer) and answer.status != 200

    def refusal(self, endpoint: str, account: str, container: str, asked: str) -> Refusal | None:
        """With what an invocation is refused at present; None where it is taken.

        Args:
            endpoint, account: as the client is told them (O5).
            container: its name in the variant (O4).
            asked: the URL of its `/ping`, for the developer.
        """
        latest = self.latest.what if self.latest else "has not been asked yet"
        why = f"the endpoint is {self.status}: GET {asked} {latest} (K4)"
        match self.status:
            case Status.IN_SERVICE:
                return None
            case Status.UNHEALTHY:
                return model_error(container, why)
            case Status.FAILED:
                why += "; a failed endpoint stays so: start the container, then the emulator again"
        return no_such_endpoint(endpoint, account, why)

    def receive_answer(self, answer: PingAnswer, now: float) -> Status | None:
        """Take an answer into account; once the endpoint has failed, none counts any more.

        Returns:
            The new status where it changed.
        """
        before = self.status
        if before is Status.FAILED:
            return None
        self.latest = answer
        if self.passes(answer):
            self._failed = 0
            self.status = Status.IN_SERVICE
        else:
            self._failed += 1
            if before is Status.CREATING and now >= self._fails_at:
                self.status = Status.FAILED
            elif before is Status.IN_SERVICE and self._failed >= self._limit:
                self.status = Status.UNHEALTHY
        creating = self.status is Status.CREATING
        self._next = now + (self._startup_interval if creating else self._interval)
        return None if self.status is before else self.status

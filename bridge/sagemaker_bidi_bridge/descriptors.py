"""How much the bridge may hold open, from the limit of open files that it runs under."""

import contextlib
from dataclasses import dataclass

# More than a container with one model serves; a higher number only hides a leak for longer.
_ENOUGH = 65_536
# The standard streams, the loop's own, the listener, imports, a resolver; and health checks, each
# of which asks vLLM.
_OWN = 32
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Capacity:
    """What fits under a limit of open files.

    Args:
        descriptors: the limit.
        sessions: at most so many, each with a connection to SageMaker and one to vLLM.
        connections: at most so many on the bridge's port, sessions and all others.
        backlog: connections that wait to be accepted; the loop accepts as many in one go, before
            any that is too much can be closed.
    """

    descriptors: int
    sessions: int
    connections: int
    backlog: int


def capacity(descriptors: int) -> Capacity:
    """Divide a limit of open files (`ulimit -n`) so that it is never reached."""
    backlog = min(_BACKLOG, max(1, descriptors // 8))
    free = max(4, descriptors - _OWN - backlog)
    # Of what the sessions leave, some connections are for health checks and for those that ask.
    sessions = max(1, free * 2 // 5)
    return Capacity(descriptors, sessions, free - sessions, backlog)


def limit_of_open_files(*, raise_it: bool) -> int:
    """The limit of this process.

    Args:
        raise_it: first raise the soft limit to what the hard one allows.
    """
    try:
        import resource
    except ImportError:  # Windows has none
        return _ENOUGH
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if raise_it and soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft

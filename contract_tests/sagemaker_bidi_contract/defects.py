"""The eight defects of the published reference bridge, by the numbers that findings carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect: what it is, and what to do about it."""

    title: str
    advice: str


DEFECTS: Mapping[int, Defect] = {
    1: Defect(
        "accepts SageMaker's socket before it has reached the model server",
        "connect to the model server first, within about 200 ms, and accept only then; refuse the "
        "upgrade otherwise, so that the client gets a 424 in place of a stream that ends",
    ),
    2: Defect(
        "ends failures in mid-stream with Close 1000",
        "pass the model server's close code and reason on, and send 1011 with a reason where its "
        "connection was lost: the client takes 1000 for a complete answer",
    ),
    3: Defect(
        "catches an exception class that the current websockets never raises",
        "websockets raises InvalidStatus where the upgrade is answered with an HTTP status; "
        "InvalidStatusCode belongs to its legacy client",
    ),
    4: Defect(
        "keeps websockets' defaults towards the model server",
        "connect with ping_interval=None (a busy model answers late, and is cut off with 1011) and "
        "with max_size above the largest message (the default is 1 MiB)",
    ),
    5: Defect(
        "lets the first side to finish cancel the other, and loses the tail",
        "when a send to the model server fails, go on reading what it has sent before its Close, "
        "deliver that, and close after it",
    ),
    6: Defect(
        "waits longer for the model server's health page than SageMaker waits for /ping",
        "give the model server less than 2 s (1 s is a good value), and answer 503 after that",
    ),
    7: Defect(
        "drops empty frames",
        "pass every message on; test for None, not for truth",
    ),
    8: Defect(
        "cuts sessions on SIGTERM",
        "on SIGTERM refuse new sessions and let open ones finish for up to 25 s, then close them "
        "with 1001; uvicorn by itself closes WebSockets with 1012 at once",
    ),
}

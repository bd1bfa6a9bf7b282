"""h2's state of a connection, where ours has to differ from what h2 does by itself."""

from __future__ import annotations

import logging

import h2.config
import h2.connection
import h2.settings
from h2.connection import ConnectionInputs, ConnectionState, H2ConnectionStateMachine

from emulator.transport.http2.settings import Http2Settings

UNLIMITED = 2**31 - 1
_TRANSITIONS = {
    **H2ConnectionStateMachine._transitions,
    (ConnectionState.SERVER_OPEN, ConnectionInputs.RECV_GOAWAY): (
        None,
        ConnectionState.SERVER_OPEN,
    ),
}
# At DEBUG it logs each header, signatures and tokens included.
logging.getLogger("hpack").setLevel(logging.INFO)


class _Announced(h2.settings.Settings):
    """Settings whose stream limit is announced by h2 and enforced by the connection.

    h2 ends the whole connection over one stream too many; RFC 9113 5.1.2 lets it be refused.
    """

    @property
    def max_concurrent_streams(self) -> int:
        return UNLIMITED

    @max_concurrent_streams.setter
    def max_concurrent_streams(self, value: int) -> None:
        raise AttributeError("the stream limit is announced once")


def server_state(settings: Http2Settings) -> h2.connection.H2Connection:
    """A server's state with the limits of `settings`, before its first bytes."""
    state = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
    )
    # h2 would close the streams that are open too (RFC 9113 6.8).
    state.state_machine._transitions = _TRANSITIONS
    codes = h2.settings.SettingCodes
    state.local_settings = _Announced(
        client=False,
        initial_values={
            codes.MAX_CONCURRENT_STREAMS: settings.max_streams,
            codes.INITIAL_WINDOW_SIZE: settings.stream_window,
            codes.MAX_FRAME_SIZE: settings.max_frame_size,
            codes.MAX_HEADER_LIST_SIZE: settings.max_header_list,
        },
    )
    state.max_inbound_frame_size = settings.max_frame_size
    state.decoder.max_header_list_size = settings.max_header_list
    return state

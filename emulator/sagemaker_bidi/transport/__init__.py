"""Bytes: HTTP/2 on 8443, the WebSocket to a container, TLS."""

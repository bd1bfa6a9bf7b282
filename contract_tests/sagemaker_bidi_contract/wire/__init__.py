"""WebSocket connections frame by frame, for either side, and a plain HTTP GET."""

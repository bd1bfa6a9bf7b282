"""The checks of an endpoint, one file a subject; `run` makes them."""

"""One invocation, from its request headers to its end."""

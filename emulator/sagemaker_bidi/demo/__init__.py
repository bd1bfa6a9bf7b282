"""`bidi demo`: the whole way on this machine, from speech to words."""

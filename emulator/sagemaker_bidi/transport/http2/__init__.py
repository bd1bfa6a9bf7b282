"""HTTP/2 as SageMaker speaks it, on h2."""

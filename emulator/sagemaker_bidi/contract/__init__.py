"""Every rule of SageMaker's contract, without I/O: bytes, events and the time go in and out."""

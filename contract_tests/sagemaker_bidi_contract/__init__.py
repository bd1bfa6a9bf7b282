"""The suite that holds a container or an endpoint to SageMaker's contract, and the ledger of it."""

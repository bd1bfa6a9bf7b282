"""The checks of a container: does it keep the container's side of the contract?"""

"""Prints the project's dependencies, so that an image's layer of them outlives a change of code."""

import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    print("\n".join(tomllib.load(file)["project"]["dependencies"]))

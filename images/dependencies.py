"""Prints what projects depend on, so that an image's layer of it outlives a change of code.

    dependencies.py PYPROJECT…

A project's extra `audio` counts as well: the image has the whole of ours.
"""

import sys
import tomllib

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        project = tomllib.load(file)["project"]
    print("\n".join(project["dependencies"]))
    print("\n".join(project.get("optional-dependencies", {}).get("audio", [])))

"""The bridge's version, which `GET /version` tells: images hold its files and no metadata."""

VERSION = "0.1.0"

"""libsodium, as the wheel `rbcl` bundles it, loaded without leaving a file behind.

Importing `rbcl` writes the library to a temporary file, loads it and leaves the file: 2.8 MB for
every process that ever ran. Once it is loaded its name is needed no more.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import rbcl
from rbcl._sodium import _sodium as sodium

with contextlib.suppress(OSError):
    Path(sodium._name).unlink()

__all__ = ["rbcl", "sodium"]

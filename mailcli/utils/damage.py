"""What reading a damaged file of arrays may raise."""

from __future__ import annotations

import zipfile
import zlib

#: What reading a damaged file may raise. RecursionError, MemoryError and SyntaxError come from an array's header;
#: RuntimeError, or its NotImplementedError, from an entry that asks for a password or a newer version of zip.
DAMAGE_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile),
    *(RecursionError, MemoryError, SyntaxError, RuntimeError),
)
#: The same for the compressed archives of NumPy.
NPZ_ERRORS = (*DAMAGE_ERRORS, zlib.error)

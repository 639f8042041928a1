"""Sizes as text."""

from __future__ import annotations

from ._quantities import parse_size


def parse_byte_size(size: str) -> int:
    """Bytes of a size such as ``"10M"`` or ``"512 KiB"``: powers of 1000, and with an "i" in the unit of 1024.

    :raises InvalidSize: it is none; that of ``humanfriendly``, where that is loaded.
    """
    return parse_size(size, 1024 if "ib" in size.lower() else 1000)

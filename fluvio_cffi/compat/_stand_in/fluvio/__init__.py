"""Replaces itself by :mod:`fluvio_cffi.compat`."""

from fluvio_cffi.compat import install

install()

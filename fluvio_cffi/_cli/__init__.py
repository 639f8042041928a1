"""The command line: `flv`, or `python -m fluvio_cffi`. It uses the public interface alone, and the documents of
administration for what it writes as JSON.

Without the extra `cli` only `plain` is used, and what it imports.
"""

"""The command line: `python -m fluvio_cffi`. It uses the public interface alone."""

"""The synchronous classes, made by ``tools/async_to_sync.py`` from those in ``_async``."""

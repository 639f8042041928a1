"""The asynchronous classes: the source from which ``tools/async_to_sync.py`` makes the synchronous ones."""

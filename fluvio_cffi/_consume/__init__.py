"""Records that were read: nothing here waits, or knows an event loop."""

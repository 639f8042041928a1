"""Records on their way into the library: nothing here waits, or knows an event loop."""

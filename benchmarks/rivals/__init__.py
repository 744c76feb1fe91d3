"""Task engines to measure beside our queue; each runs in an environment of its own."""

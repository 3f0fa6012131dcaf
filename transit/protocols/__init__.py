"""GPS protocols as sans-I/O decoders, one per file, found by file name."""

"""One file per command, each with one constant ``COMMAND``."""

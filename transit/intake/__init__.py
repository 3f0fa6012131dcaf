"""Servers that trackers connect to: sockets here, bytes understood in ``transit.protocols``."""

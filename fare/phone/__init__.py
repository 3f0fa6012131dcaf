"""Codes that a phone shows and scans: its own QR, and the QR of a bus. Pure; nothing here moves money."""

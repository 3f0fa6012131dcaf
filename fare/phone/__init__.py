"""Paying by phone: one-time codes, sessions, and the codes that a phone shows and scans. Pure; nothing moves money."""

"""Inspection: has this passenger paid for this ride? It reads and records; nothing here can charge anybody."""

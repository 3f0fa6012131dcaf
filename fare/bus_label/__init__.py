"""What hangs in a bus so that riders can pay by phone."""

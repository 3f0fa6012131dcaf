"""The demo's banks: programs that behave as banks do, faults included. No money moves in them."""

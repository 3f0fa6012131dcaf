"""The planned network: GTFS read, checked and compiled into a frozen ``Network`` of arrays."""

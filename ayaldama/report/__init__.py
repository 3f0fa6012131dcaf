"""Reports for engineers, each one HTML file that opens without a network."""

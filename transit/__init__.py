"""The live network: GPS in, vehicles followed, arrivals predicted."""

"""What a ride costs, and why: pure functions over a dated tariff."""

"""What carriers, payers of concessions and passengers are owed, and whether others' books agree with ours."""

"""Double-entry bookkeeping: accounts, what may be posted, and proofs that the books are whole."""

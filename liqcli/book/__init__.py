"""The mirror: what we know of every borrower."""

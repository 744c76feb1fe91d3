"""A local chain with the real contracts, an embedded Valkey, and a scenario that moves prices."""

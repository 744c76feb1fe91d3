"""The node: JSON-RPC, hand-packed calls, the market's reads, its logs, and signed transactions."""

"""What is assumed of a channel and its losses unless more is known."""

DEFAULT_CAPACITY = 512
"""What artemis asks of both its channels unless told otherwise."""

INCIDENT_GAP_US = 1_000_000
"""Quiet that ends an incident unless a physical threshold (slots x service time) is known."""

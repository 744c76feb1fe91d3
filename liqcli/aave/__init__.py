"""Aave V3's own integer maths, versions 3.0.2 to 3.7: pure functions, no I/O, no clock."""

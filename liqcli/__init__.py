"""Liquidation toolkit for Aave-V3 markets on HyperEVM."""

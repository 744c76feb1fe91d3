"""The operator's view: what a running bot says of itself."""

"""The commands: one file per group, thin over the floors below."""

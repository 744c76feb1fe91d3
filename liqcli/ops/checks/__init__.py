"""What `liq doctor` looks at, one file for each thing: a check is an async generator of findings."""

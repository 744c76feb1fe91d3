"""Keys and what may be signed with them."""

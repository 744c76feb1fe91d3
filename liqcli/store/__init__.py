"""Redis: the priority queue and the cache of readings; the only home of redis."""

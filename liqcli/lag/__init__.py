"""Why an event channel lags: from a log to statistics, cause, advice and charts. Needs no chain, no Redis, no key."""

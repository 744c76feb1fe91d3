"""Why an event channel lags: from a log to statistics, cause, advice and charts. Needs no chain, no Redis, no key."""

import os

# No part of this does linear algebra, but numpy's BLAS would start its threads: 30 ms of every run, and a process
# that has threads should not fork.
os.putenv("OPENBLAS_NUM_THREADS", "1")

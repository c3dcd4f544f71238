"""Training: one LightningModule of any number of runs, and what drives and records it."""

import os

# Before torch is imported, or it has no effect. Threads wait for one another by spinning, by default for
# milliseconds. Beside one busy process on two cores a step of 784-512-512-10 then took 30 to 200 ms instead
# of 3.5; with this it takes 8, and 3.8 where nothing else runs.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

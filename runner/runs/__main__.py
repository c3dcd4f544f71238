"""python -m runner.runs: lists runs; see runner.listing."""

import sys

from runner.listing import main

if __name__ == "__main__":
    sys.exit(main())

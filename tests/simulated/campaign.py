"""Many seeds in a row: `python -m tests.simulated.campaign FIRST LAST` prints the seeds that do not converge.

The same story as `test_it_converges_once_faults_stop`; a seed found here goes into that test's list.
"""

from __future__ import annotations

import logging
import sys
import time

from eventd_simulators.virtual_time import VirtualTimeError, run
from tests.simulated.daemon import QUIET
from tests.simulated.test_faults import converges


def main(first: int, last: int) -> int:
    """Run the seeds from `first` to before `last`; 1 if any fails."""
    logging.disable(logging.CRITICAL)
    began, bad = time.monotonic(), 0
    for seed in range(first, last):
        try:
            run(converges(seed), seed=seed, limit=20 * QUIET)
        except (AssertionError, VirtualTimeError) as error:
            bad += 1
            print(f"seed {seed}: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)  # noqa: T201
    rate = (last - first) / (time.monotonic() - began) * 60
    print(f"{bad} of {last - first} failed; {rate:.0f} schedules a minute")  # noqa: T201
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))

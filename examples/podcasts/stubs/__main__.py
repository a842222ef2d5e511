"""`python -m podcasts.stubs`: serve the stubs until told to end."""

import argparse
import asyncio

from podcasts.stubs.process import serve

parser = argparse.ArgumentParser(prog="python -m podcasts.stubs", description=__doc__)
parser.add_argument("--latency", type=float, default=0.02, help="seconds before a healthy answer (default 0.02)")
parser.add_argument("--seed", type=int, default=0, help="fixes jitter and which requests a fault strikes (default 0)")
parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input ends")

if __name__ == "__main__":
    options = parser.parse_args()
    if options.latency < 0:
        parser.error(f"--latency is {options.latency}; allowed: seconds, 0 or more")
    asyncio.run(serve(latency=options.latency, seed=options.seed, until_stdin_closes=options.until_stdin_closes))

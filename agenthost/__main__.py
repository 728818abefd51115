"""`python -m agenthost` and the `agenthost` command: both are `cli.main.main`."""

import sys

from agenthost.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m agenthost` and the `agenthost` command: both are `cli.main.main`."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the folder one stands in, where an agent's `logging.py` or `token.py` may lie

from agenthost.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m mmtrio` is `trio-mm`."""

import sys

from mmtrio.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""Run a study: `python run_all.py params/demo.yaml`. See --help."""

import sys

from lib.workflow.cli import main

if __name__ == "__main__":
    sys.exit(main())

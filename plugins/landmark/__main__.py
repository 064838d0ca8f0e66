"""`python -m landmark`: the operators' command."""

import sys

from landmark.cli import main

sys.exit(main())

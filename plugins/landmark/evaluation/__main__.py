"""`python -m landmark.evaluation`."""

import sys

from landmark.evaluation.command import main

sys.exit(main())

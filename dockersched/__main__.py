"""`python -m dockersched`."""

import sys

from dockersched.cli import main

sys.exit(main())

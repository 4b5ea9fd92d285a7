"""The submitter's process."""

import os
import sys

from muster_chassis.service import start

from muster_submitter.app import NAME, build_from_settings
from muster_submitter.settings import SubmitterSettings

if __name__ == "__main__":
    sys.exit(start(NAME, SubmitterSettings, build_from_settings, os.environ))

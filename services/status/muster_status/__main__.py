"""The status service's process."""

import os
import sys

from muster_chassis.service import start

from muster_status.app import NAME, build_from_settings
from muster_status.settings import StatusSettings

if __name__ == "__main__":
    sys.exit(start(NAME, StatusSettings, build_from_settings, os.environ))

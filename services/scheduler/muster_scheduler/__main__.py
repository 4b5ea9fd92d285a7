"""The scheduler's process."""

import os
import sys

from muster_chassis.service import start

from muster_scheduler.app import NAME, build_from_settings
from muster_scheduler.settings import SchedulerSettings

if __name__ == "__main__":
    sys.exit(start(NAME, SchedulerSettings, build_from_settings, os.environ))

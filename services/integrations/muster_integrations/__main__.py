"""The process of integrations."""

import os
import sys

from muster_chassis.service import start

from muster_integrations.app import NAME, build_from_settings
from muster_integrations.settings import IntegrationsSettings

if __name__ == "__main__":
    sys.exit(start(NAME, IntegrationsSettings, build_from_settings, os.environ))

"""Log lines of a process as a machine reads them."""

import json
import subprocess
import sys

PROGRAM = """
import logging
import structlog
from muster_chassis.logs import set_up_logs

set_up_logs("scheduler")
structlog.get_logger().info("A service speaks.", position=7)
logging.getLogger("a.library").warning("A library speaks.", extra={"connection": "leases", "color_message": "red"})
"""


def test_what_a_library_adds_to_its_sentence_is_a_field_like_a_services() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stderr
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line.pop("timestamp")[-1] for line in lines] == ["Z", "Z"]
    assert lines == [
        {"event": "A service speaks.", "position": 7, "service": "scheduler", "level": "info"},
        {"event": "A library speaks.", "connection": "leases", "service": "scheduler", "level": "warning"},
    ]

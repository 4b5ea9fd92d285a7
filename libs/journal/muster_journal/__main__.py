"""`python -m muster_journal`: what the administrator of the bus does before any service starts, as two commands.

`configure FILE` writes the configuration of the NATS server, with a user for every writer; `provision` creates the
streams on the running servers, with `MUSTER_NATS_REPLICAS` copies of each. Both read passwords from the environment,
under the names the services read them by, so that a container stack or a chart says each of them once.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from muster_contracts.errors import Refused, Unavailable
from muster_contracts.subjects import Writer

from muster_journal.permissions import ADMINISTRATOR, ServerSettings, server_configuration
from muster_journal.provision import provision

PORT = 4222
STORE_DIRECTORY = "/data"
USAGE = "usage: python -m muster_journal configure FILE | provision"


class BadEnvironment(Exception):
    """A variable is missing or makes no sense; the text names it."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do one command and return the exit code: 0, 1 when the world is not ready, 2 when we were told wrong things."""
    try:
        match arguments:
            case ["configure", file]:
                _configure(Path(file), environment)
            case ["provision"]:
                url = environment.get("MUSTER_NATS_URL", f"nats://127.0.0.1:{PORT}")
                password, replicas = password_of(ADMINISTRATOR, environment), replicas_of(environment)
                asyncio.run(provision([url], password, replicas=replicas))
            case _:
                return _say(USAGE, 2)
    except (Refused, BadEnvironment) as error:
        return _say(str(error), 2)
    except Unavailable as error:
        return _say(str(error), 1)
    return 0


def container_settings(environment: Mapping[str, str]) -> ServerSettings:
    """Return the settings of a server that has its container to itself: fixed port, store and every address."""
    return ServerSettings(
        host="0.0.0.0",
        port=PORT,
        store_directory=environment.get("MUSTER_NATS_STORE", STORE_DIRECTORY),
        administrator_password=password_of(ADMINISTRATOR, environment),
        service_passwords={writer: password_of(writer, environment) for writer in Writer},
    )


def password_variable(user: str) -> str:
    """Return the variable with the password of a user."""
    return f"MUSTER_{user}_NATS_PASSWORD".upper()


def password_of(user: str, environment: Mapping[str, str]) -> str:
    """Return the password of a user. Raises BadEnvironment: an empty one would let everybody in."""
    password = environment.get(password_variable(user), "")
    if not password:
        raise BadEnvironment(f"{password_variable(user)} is not set; the user {user} needs a password.")
    return password


def replicas_of(environment: Mapping[str, str]) -> int:
    """Return how many servers keep each stream. Raises BadEnvironment for what NATS does not offer."""
    text = environment.get("MUSTER_NATS_REPLICAS", "1")
    if text not in {"1", "3", "5"}:
        raise BadEnvironment(f"MUSTER_NATS_REPLICAS is {text!r}; streams have 1, 3 or 5 replicas.")
    return int(text)


def _configure(file: Path, environment: Mapping[str, str]) -> None:
    """Write the file as a whole or not at all, readable by its owner (and root, whom the server runs as) alone."""
    text = server_configuration(container_settings(environment))
    draft = file.with_name(f"{file.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)


def _say(sentence: str, exit_code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

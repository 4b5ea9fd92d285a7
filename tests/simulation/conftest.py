"""The options of `make sim`: one seed, or so many worlds."""

import logging

import pytest
import structlog


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, default=None, help="play the world of this seed alone")
    group.addoption("--worlds", type=int, default=12, help="how many worlds to play")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--seed")
        worlds = metafunc.config.getoption("--worlds")
        metafunc.parametrize("seed", [chosen] if chosen is not None else range(1, worlds + 1))


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Say nothing of the thousands of failures that are played."""
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

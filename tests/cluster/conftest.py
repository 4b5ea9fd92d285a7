"""Lets the shared suite explain its failed assertions as test modules do."""

import pytest

pytest.register_assert_rewrite("cluster.conformance", "cluster.history_server")

"""What the properties of the rules are tried on: the cases of the unit tests."""

import pytest

from tests.unit.verification.conftest import Case


@pytest.fixture(scope="session")
def new_case() -> type[Case]:
    """What makes cases."""
    return Case

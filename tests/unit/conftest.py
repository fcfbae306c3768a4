"""What every unit test runs under."""

from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a busy machine is no finding
settings.load_profile("suite")

"""Property tests run on busy machines too: no single example has a deadline."""

from hypothesis import settings

settings.register_profile("indexer", deadline=None)
settings.load_profile("indexer")

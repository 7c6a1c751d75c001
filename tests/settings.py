"""The settings that tests run with: the project's own, over a data folder that is thrown away, with the hashing embedder.

A person's SEXTANT_ variables don't reach the tests, but for those that say which servers and which cache to use
(tests/services.py sets the first two). What is set here stays in the environment, so processes that a test starts have
it too.
"""

import atexit
import os
import shutil
import tempfile

KEPT = {"SEXTANT_DATABASE_URL", "SEXTANT_REDIS_URL", "SEXTANT_CACHE_DIR"}

for name in [name for name in os.environ if name.startswith("SEXTANT_") and name not in KEPT]:
    del os.environ[name]
data_dir = tempfile.mkdtemp(prefix="sextant-tests-")
atexit.register(shutil.rmtree, data_dir, ignore_errors=True)
os.environ.update(
    SEXTANT_DATA_DIR=data_dir,
    SEXTANT_EMBEDDER="hashing",
    SEXTANT_LOG_LEVEL="WARNING",
    HF_HUB_OFFLINE="1",
)

from assistant.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

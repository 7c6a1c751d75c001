"""Static files under names that hold their hash, so that a browser may keep them for ever.

ES modules import each other by path, so their imports are rewritten to the hashed names too. A fresh clone has no manifest
until `collectstatic` has run; then the plain names are used, and whitenoise serves the files from where they are written.
"""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    support_js_module_import_aggregation = True

    def stored_name(self, name: str) -> str:
        return str(super().stored_name(name)) if self.hashed_files else name

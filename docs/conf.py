"""How `make docs` builds the pages."""

project = "gridrl"
author = "the gridrl authors"
project_copyright = "2026, the gridrl authors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
html_theme = "furo"
html_title = "gridrl"
html_theme_options = {"footer_icons": []}

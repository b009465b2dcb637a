"""Settings of Sphinx for the documentation; `invoke docs` builds it."""

project = "Aerostore"
author = "the Aerostore authors"
copyright = author  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Aerostore"
html_copy_source = False
# Quotes of shells and languages are to be copied as they are.
smartquotes = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
python_use_unqualified_type_names = True
exclude_patterns = ["examples"]
# Examples may be downloaded as they are.
html_extra_path: list[str] = []
suppress_warnings = ["misc.highlighting_failure"]

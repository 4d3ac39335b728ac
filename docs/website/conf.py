"""Sphinx's settings for the site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygments.lexers.special import TextLexer
from sphinx.domains.python._object import PyObject

import aiobc9x
from docs.website import references

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "aiobc9x"
author = "aiobc9x contributors"
version = release = aiobc9x.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
nitpicky = True
show_warning_types = True

myst_heading_anchors = 4

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"aiobc9x {release}"
html_static_path = [str(Path(__file__).with_name("static"))]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


for field in PyObject.doc_field_types:
    if field.name == "variable":
        field.label = "Attributes"  # as the docstrings call them


def setup(app: Sphinx) -> dict[str, Any]:
    """Add what Sphinx asks for while it builds."""
    references.connect(app)
    app.add_lexer("haproxy", TextLexer)  # which Pygments doesn't have
    return {"parallel_read_safe": True, "parallel_write_safe": True}

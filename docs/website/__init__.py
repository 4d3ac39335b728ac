"""The site that is made of the Markdown in docs/: ``python -m docs.website``, or ``make docs``.

============== ================================================================
module         what it does
============== ================================================================
``staging``    pages, as they lie in the repository, become Sphinx's sources
``names``      docs/api.md becomes one page of the reference for each of its rows
``conf``       Sphinx's settings
``references`` what a name in a docstring or a signature leads to
``llms``       the pages as plain Markdown, and llms.txt
``drawing``    state diagrams as SVG, from the tables in the code
============== ================================================================
"""

"""An independent model of the module, and seeded random programs that try the library with it.

The model is written from the application note and field reports alone, without a look at the
virtual module (``aiobc9x.sim``) or at the library's inside, so that one misreading can't hide
another. The programs use the public API in virtual time.
"""

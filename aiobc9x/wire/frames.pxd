# Types for Cython; what the classes do stands in frames.py alone.

cimport cython


@cython.final
@cython.freelist(64)
cdef class Line:
    cdef readonly bytes text


@cython.final
@cython.freelist(64)
cdef class Payload:
    cdef readonly object connect_id
    cdef readonly object remaining
    cdef readonly bytes data


@cython.final
cdef class Prompt:
    pass


@cython.final
cdef class Damage:
    cdef readonly str reason
    cdef readonly bytes data

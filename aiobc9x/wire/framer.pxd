# Types for Cython; what is done with them stands in framer.py alone.

cimport cython

from aiobc9x.wire.frames cimport Damage, Line, Payload, Prompt

cdef extern from "<string.h>":
    const unsigned char *memchr(const unsigned char *, int, size_t)

cdef int LINE_MAX_BYTES, PUSH_MAX_BYTES, READ_MAX_BYTES, _IDS
cdef int _IN_LINE, _OVER_LONG, _BEHIND_PROMPT, _SEPARATOR, _PAYLOAD, _DIGITS
cdef int _BEHIND_READ, _BEHIND_PUSH
cdef int _LF, _CR, _SPACE, _QUOTE, _PLUS, _COMMA, _MINUS, _ZERO, _NINE, _GREATER
cdef int _NO_HEADER, _MALFORMED, _TOO_LONG, _NO_LENGTH

@cython.locals(head="const unsigned char *", place="const unsigned char *")
cdef Py_ssize_t _find(bytes text, int byte, Py_ssize_t start)

@cython.locals(stop=Py_ssize_t)
cdef Py_ssize_t _past_spaces(const unsigned char *head, Py_ssize_t at, Py_ssize_t end)


cdef class Framer:
    cdef public object push_sockets
    cdef public bint prompt_due
    cdef public bint hex_receive
    cdef public bint length_shown
    cdef public Py_ssize_t read_due
    cdef public bint hold_after_final
    cdef public object push_ends
    cdef public Py_ssize_t negative_remainings

    cdef int _state
    cdef bytes _buffer
    cdef Py_ssize_t _known
    cdef list _pieces
    cdef Py_ssize_t _due
    cdef object _connect_id
    cdef object _remaining
    cdef Py_ssize_t _size
    cdef bint _hex
    cdef int _behind
    cdef Py_ssize_t _number

    cdef void _start_afresh(self) except *

    @cython.locals(
        text=bytes,
        kept=bytes,
        byte="unsigned char",
        state=int,
        size=Py_ssize_t,
        frames=list,
        at=Py_ssize_t,
        end=Py_ssize_t,
        known=Py_ssize_t,
    )
    cpdef object feed(self, object data)

    @cython.locals(frames=list)
    cpdef object resync(self)

    @cython.locals(lf=Py_ssize_t)
    cdef Py_ssize_t _take_others(self, bytes text, Py_ssize_t at, Py_ssize_t end, list frames)

    @cython.locals(
        head="const unsigned char *",
        is_armed=bint,
        byte="unsigned char",
        verdict=Py_ssize_t,
        lf=Py_ssize_t,
        stop=Py_ssize_t,
        line=bytes,
    )
    cdef Py_ssize_t _take_lines(
        self, bytes text, Py_ssize_t at, Py_ssize_t end, Py_ssize_t known, list frames
    )

    @cython.locals(head="const unsigned char *", stop=Py_ssize_t, beyond=Py_ssize_t)
    cdef Py_ssize_t _keep_line(
        self, bytes text, Py_ssize_t at, Py_ssize_t end, Py_ssize_t known, list frames
    )

    @cython.locals(mark=Py_ssize_t, lf=Py_ssize_t, echo=bytes)
    cdef Py_ssize_t _take_prompt(
        self, bytes text, Py_ssize_t at, Py_ssize_t end, Py_ssize_t known, list frames
    )

    @cython.locals(number=Py_ssize_t, byte="unsigned char")
    cdef Py_ssize_t _read_number(self, const unsigned char *head, Py_ssize_t at)

    @cython.locals(
        head="const unsigned char *", is_negative=bint, size=Py_ssize_t, first=Py_ssize_t
    )
    cdef Py_ssize_t _read_read_header(
        self, bytes text, Py_ssize_t at, Py_ssize_t end, Py_ssize_t known
    )

    @cython.locals(
        head="const unsigned char *",
        connect_id=int,
        first=Py_ssize_t,
        size=Py_ssize_t,
    )
    cdef Py_ssize_t _read_push_header(
        self, bytes text, Py_ssize_t at, Py_ssize_t end, Py_ssize_t known
    )

    cdef Py_ssize_t _begin_payload(
        self, bytes text, Py_ssize_t at, Py_ssize_t end, int separator
    )

    @cython.locals(head="const unsigned char *", stop=Py_ssize_t)
    cdef Py_ssize_t _take_payload(self, bytes text, Py_ssize_t at, Py_ssize_t end, list frames)

    @cython.locals(stop=Py_ssize_t, raw=bytes, is_quoted=bint, data=bytes)
    cdef Py_ssize_t _take_digits(self, bytes text, Py_ssize_t at, Py_ssize_t end, list frames)

    @cython.locals(head="const unsigned char *", stop=Py_ssize_t)
    cdef Py_ssize_t _take_read_end(self, bytes text, Py_ssize_t at, Py_ssize_t end, list frames)

    @cython.locals(
        first="unsigned char",
        byte="unsigned char",
        stop=Py_ssize_t,
        is_prompt=bint,
        can_tell=bint,
    )
    cdef Py_ssize_t _take_push_end(self, bytes text, Py_ssize_t at, Py_ssize_t end, list frames)

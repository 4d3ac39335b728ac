"""Find out how a particular module behaves, by talking to it and to an echo peer.

``conversation`` talks to the module line by line, ``echoing`` holds sockets to the peer,
``measurements`` has one function for each habit, ``assumptions`` says what the figures mean for
this package, and ``run`` does all of it and leaves the module as it was.
"""

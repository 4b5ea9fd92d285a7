"""placeholder"""


def note_update(*a): ...

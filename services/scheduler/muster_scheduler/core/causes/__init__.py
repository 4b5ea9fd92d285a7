"""What may keep a group waiting: a module for each sort of cause, each a function from an inquiry to a cause, or None.

`inquiry` is what they look at; `explain` asks them in order, and the first that holds is the dominant reason.
"""

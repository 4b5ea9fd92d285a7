"""What Muster says to an object before Kubernetes stores it: pure answers, and the certificates to give them under.

`review` asks one rule after the other (`marks`, `scheduling`, `portion_rules`); `configurations` says what the API
server must be told to ask us, `certificates` makes what it trusts us by. `reviewing` and `entrypoints` bring them to
the wire.
"""

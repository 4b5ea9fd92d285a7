"""From Kubernetes objects to what we say of them: pure, and usable without a cluster or a journal.

`core` decides what is written and knows no Kubernetes object; this package reads the objects (the partial structs of
`muster_cluster.objects`: data without I/O) and answers in the contracts' words. A kind of object is one file of
answers here and one line in `table.py`.
"""

"""The objects of a cluster, as administration shows them and takes them: frozen, comparable, picklable.

What the cluster keeps as a *spec* is what was asked for, a *status* is what became of it. Each module has one kind, and
is loaded when that is first used.
"""

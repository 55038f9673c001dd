"""Who waits for whom, and which waits can never end. Pure.

`units` reads what a unit says of its order, `declared` what its script waits for; `build` makes the `graph`
of units, workloads, gates and URLs; `cycles` finds the waits that wait for themselves, `remedies` tries
what would break them, `sentences` spells both out. `refuse` is what loading a repository calls, `document`
and `svg` are what `eventctl gates` shows. docs/explanation/deadlocks.md has the reasoning.
"""

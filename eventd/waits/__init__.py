"""Who waits for whom, and which waits can never end. Pure.

`model_units` reads what a unit says of its order, `model_declared` what its script waits for; `model_build` makes the
`model_graph` of units, workloads, gates and URLs; `model_cycles` finds the waits that wait for themselves,
`model_remedies` tries what would break them, `model_sentences` spells both out. `model_refusal` is what loading a
repository calls, `model_document` and `model_svg` are what `eventctl gates` shows. docs/explanation/deadlocks.md has
the reasoning.
"""

"""The wait graph: who waits for whom, and which waits can never end. Pure, except for the adapters.

`model_units` reads the ordering of units, `model_declared` what their scripts wait for. `model_build` makes the
`model_graph` of units, workloads, gates and URLs. `model_cycles` finds circular waits, `model_remedies` tries changes
that may break them, and `model_sentences` describes both. Loading a repository calls `model_refusal`; `eventctl gates`
shows `model_document` and `model_svg`. docs/explanation/deadlocks.md explains the reasoning.
"""

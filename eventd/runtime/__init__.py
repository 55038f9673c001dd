"""The imperative shell: dispatch, queue, runs, recovery. Sees ports only; `engine` puts the parts together."""

"""Health: whether verified workloads still meet their expectations, and what is done if they do not."""
